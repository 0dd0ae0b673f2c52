import postgres from "postgres";
import { readSnapshot, type Snapshot } from "./ledger-snapshot.ts";
import { type ClinicRecords, readClinicRecords } from "./clinic-records.ts";
import { plant, type PlantedDefect } from "./planted-defects.ts";
import { injectedError, type SimulatedProcess } from "./simulated-process.ts";
import type { Simulation } from "./simulation.ts";

/** Those that a seed fills, the ones that point to others first. */
const TABLES = [
  "delivery.delivery_event",
  "delivery.delivery",
  "delivery.notification",
  "delivery.idempotency_key",
  "delivery.sender",
  "delivery.suppression",
  "clinic.reminder",
  "clinic.reminder_plan",
  "clinic.preference",
  "clinic.appointment",
  "clinic.patient",
  "clinic.sync_cursor",
] as const;

export type SimulatedDatabase = {
  /** The database as a process has it: each statement, and each transaction as a whole, is an effect. */
  connect: (process: SimulatedProcess) => postgres.Sql;
  /** For the simulation itself: takes no time and never fails. */
  sql: postgres.Sql;
  /** Does something at the simulated time, and has the ledger checked. */
  act: (work: (sql: postgres.Sql) => Promise<void>) => Promise<void>;
  /** When a reminder is next to be claimed or an appointment to be planned; Infinity when never. */
  nextReminder: () => Promise<number>;
  /** From now on, and for that long. */
  goAway: (ms: number) => void;
};

/** One connection on which the simulation has the clock. The database must be migrated. */
export async function connectSimulated(url: string): Promise<postgres.Sql> {
  // As connectDatabase() does, but for what would end the connection and its settings
  const sql = postgres(url, {
    max: 1,
    transform: { column: { from: postgres.toCamel, to: postgres.fromCamel } },
    onnotice: () => {},
    connection: { TimeZone: "UTC" },
    max_lifetime: null,
  });
  const defaults = await sql<{ table: string; column: string }[]>`
    select format('%I.%I', table_schema, table_name) as table, column_name as column
      from information_schema.columns
     where table_schema in ('clinic', 'delivery') and column_default = 'now()'`;
  // Statements say now(), and find this one first. A default was bound when its table was made
  await sql.unsafe(`
    create schema if not exists sim;
    create or replace function sim.now() returns timestamptz language sql stable
      return current_setting('carillon.now')::timestamptz;
    set search_path = sim, pg_catalog, public;
    -- The same plan each time: a plan decides the order of rows, and the order decides the history
    set plan_cache_mode = force_generic_plan;
    set jit = off;
    ${
    defaults.map(({ table, column }) =>
      `alter table ${table} alter ${column} set default sim.now();`
    )
      .join("")
  }
  `);
  await sql.unsafe(
    TABLES.map((table) => `alter table ${table} set (autovacuum_enabled = off);`).join(""),
  );
  return sql;
}

/** Empties the database for the next seed. A truncation would cost more than the seed: all is planned anew after it. */
export async function resetDatabase(sql: postgres.Sql): Promise<void> {
  await sql.unsafe(`
    ${TABLES.map((table) => `delete from ${table};`).join("\n")}
    select setseed(0);
  `);
}

export function createSimulatedDatabase(
  simulation: Simulation,
  { sql, onSnapshot, onRecords, defect }: {
    sql: postgres.Sql;
    /** A mistake to be made. */
    defect: PlantedDefect | undefined;
    /** The ledger, after a change. */
    onSnapshot: (snapshot: Snapshot) => void;
    /** The clinic's part, after a change. */
    onRecords: (records: ClinicRecords) => void;
  },
): SimulatedDatabase {
  const { random, timeline, faults } = simulation;
  let awayUntil = 0;

  let planned = true;
  let reminderAt = Infinity;

  /** Has what a statement may have changed judged. */
  async function look({ ledger, clinic }: Reach): Promise<void> {
    const [snapshot, records] = await Promise.all([
      ledger ? readSnapshot(sql) : null,
      clinic ? readClinicRecords(sql, timeline.now()) : null,
    ]);
    if (snapshot !== null) onSnapshot(snapshot);
    if (records !== null) onRecords(records);
  }

  function setClock(): Promise<unknown> {
    const micros = timeline.now();
    const text = new Date(Math.floor(micros / 1_000)).toISOString().slice(0, -1);
    return sql`select set_config('carillon.now', ${`${text}${
      String(micros % 1_000).padStart(3, "0")
    }Z`}, false)`;
  }

  /** Does the work at the simulated time, or fails in one of the ways in which a database does. */
  async function perform<Result>(reach: Reach, work: () => Promise<Result>): Promise<Result> {
    if (timeline.now() < awayUntil) throw injectedError();
    const fails = random.chance(faults.statementFails);
    if (fails && random.chance(0.5)) throw injectedError();
    planned &&= !reach.clinic;
    // Sent without waiting for the answers: one connection keeps their order
    const [, result] = await Promise.allSettled([setClock(), work(), look(reach)]);
    if (fails) throw injectedError();
    if (result.status === "rejected") throw result.reason;
    return result.value;
  }

  return {
    sql,
    act: async (work) => {
      await setClock();
      await work(sql);
      planned = false;
      await look(EVERYTHING);
    },
    nextReminder: async () => {
      if (!planned) reminderAt = await readNextReminder(sql);
      planned = true;
      return reminderAt;
    },
    goAway: (ms) => awayUntil = timeline.now() + ms * 1_000,
    connect: (process) => gateSql({ sql, process, perform, defect }),
  };
}

async function readNextReminder(sql: postgres.Sql): Promise<number> {
  const [row] = await sql<[{ at: number | null }]>`
    select case when exists (select from clinic.appointment where not planned) then 0
                else (extract(epoch from min(greatest(due_at, claimed_until))) * 1e6)::float8 end as at
      from clinic.reminder
     where status in ('planned', 'claimed')`;
  return row.at ?? Infinity;
}

/** Which part of the database a statement may change. */
type Reach = { ledger: boolean; clinic: boolean };
const EVERYTHING: Reach = { ledger: true, clinic: true };

function reachOf(words: string): Reach {
  const clinic = /(insert into|update) clinic\./.test(words);
  return { ledger: !clinic && !words.startsWith("select"), clinic };
}

type Perform = <Result>(reach: Reach, work: () => Promise<Result>) => Promise<Result>;
type Query = postgres.PendingQuery<postgres.Row[]> & { strings?: readonly string[] };

function gateSql(
  { sql, process, perform, defect }: {
    sql: postgres.Sql;
    process: SimulatedProcess;
    perform: Perform;
    defect: PlantedDefect | undefined;
  },
): postgres.Sql {
  const begin = async (work: (tx: postgres.TransactionSql) => Promise<unknown>) =>
    await process.effect(
      "transaction",
      () =>
        perform(EVERYTHING, () =>
          sql.begin(async (tx) => {
            const result = await work(tx);
            process.mayDie();
            if (!process.isAlive()) throw injectedError(); // Before the commit has left
            return result;
          })),
    );
  return new Proxy(sql, {
    apply: (_target, _self, [first, ...others]: unknown[]) => {
      // Lists and names of columns are no statements
      if (!isTemplate(first)) return Reflect.apply(sql, undefined, [first, ...others]);
      const strings = defect === undefined ? first : plant(defect, first);
      const query = Reflect.apply(sql, undefined, [strings, ...others]) as Query;
      return gateQuery(query, strings, process, perform);
    },
    get: (_target, name) => name === "begin" ? begin : Reflect.get(sql, name),
  });
}

function isTemplate(value: unknown): value is readonly string[] {
  return Array.isArray(value) && Object.hasOwn(value, "raw");
}

/** A query is sent when somebody waits for it. One that is part of another is never waited for. */
function gateQuery(
  query: Query,
  strings: readonly string[],
  process: SimulatedProcess,
  perform: Perform,
): Query {
  const words = strings.join("?").trim().replace(/\s+/g, " ");
  const isSelect = words.startsWith("select");
  const sendAndWait = query.then.bind(query);
  let result: Promise<unknown> | undefined;
  const gated = () =>
    result ??= process.effect(
      words.slice(0, 60),
      () =>
        perform(
          reachOf(words),
          async () => {
            const rows = await new Promise<postgres.Row[]>((resolve, reject) =>
              void sendAndWait(resolve, reject)
            );
            // What a change returns has no order, and must have the same one each time that a seed is played
            return isSelect
              ? rows
              : rows.sort((a, b) => JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);
          },
        ),
    );
  const then: PromiseLike<unknown>["then"] = (onResult, onError) => gated().then(onResult, onError);
  return Object.assign(query, { then }) as Query;
}
