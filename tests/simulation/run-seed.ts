import { createHash } from "node:crypto";
import process from "node:process";
import type postgres from "postgres";
import { upsertSenders } from "../../src/shared/database/senders.ts";
import { CHANNELS } from "../../src/shared/domain/delivery.ts";
import { createAccidentWatch, createCallCheck } from "./check-call.ts";
import { checkEnd, type Counts } from "./check-end.ts";
import { createLedgerCheck } from "./check-ledger.ts";
import type { ClinicRecords } from "./clinic-records.ts";
import { startClient } from "./client.ts";
import { openClinicDesk } from "./clinic-desk.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { drawFaults, endFaults } from "./faults.ts";
import { createHistory } from "./history.ts";
import { nextWake } from "./ledger-snapshot.ts";
import { createNetwork, type Network } from "./network.ts";
import type { PlantedDefect } from "./planted-defects.ts";
import { createIds, createRandom } from "./random.ts";
import { reportMessage } from "./receipts.ts";
import { createSimulatedBroker } from "./simulated-broker.ts";
import {
  createSimulatedDatabase,
  resetDatabase,
  type SimulatedDatabase,
} from "./simulated-database.ts";
import { createSimulatedProviders } from "./simulated-providers.ts";
import type { Simulation } from "./simulation.ts";
import { createTimeline } from "./timeline.ts";
import { drawStart, drawWorld, HOUR_MS, MINUTE_MS, type World } from "./world.ts";

/** What one seed came to. */
export type SeedResult = {
  seed: number;
  /** The first promise that was broken; null when all were kept. */
  failure: string | null;
  /** What happened, line by line. */
  trace: string[];
  /** Of the trace: the same seed has the same history. */
  digest: string;
  transitions: string[];
  counts: Counts;
};

const ACTIVE_MS = [MINUTE_MS, 10 * MINUTE_MS, HOUR_MS, 3 * HOUR_MS] as const;
const OUTAGE_MS = [5_000, 40_000, 100_000] as const;
/** About as long as an attempt may be open. */
const MEANWHILE_MS = 160_000;
/** When nothing goes wrong any more. A process may be dead for some minutes. */
const NEGLECT_MAX_MICROS = 1_200 * 1e6;
const STEPS_MAX = 20_000;
const RELAY_PAUSE_MICROS = 1e6;
const RUN_PAUSE_MICROS = 60 * 1e6;
const RUN_PAUSE_MAX_MICROS = 1_800 * 1e6;
const IMPORT_MAX_MICROS = 3_600 * 1e6;

/** Plays one seed from its beginning until nothing is left to do. */
export async function runSeed(
  sql: postgres.Sql,
  seed: number,
  defect?: PlantedDefect,
): Promise<SeedResult> {
  await resetDatabase(sql);
  const random = createRandom(seed);
  const start = drawStart(random);
  const timeline = createTimeline(start);
  const lines: string[] = [];
  let failure: string | null = null;
  let calmSince = Infinity;
  const simulation: Simulation = {
    random,
    timeline,
    faults: drawFaults(random),
    trace: (who, what) => {
      lines.push(`${new Date(timeline.now() / 1_000).toISOString()} ${who}: ${what}`);
    },
    fail: (what) => {
      failure ??= what;
      lines.push(`FAILED: ${what}`);
    },
  };
  const ledger = createLedgerCheck(simulation);
  const history = createHistory();
  // It would end the process
  const onUnhandled = (error: unknown) => simulation.fail(`nobody handles a rejection: ${error}`);
  process.on("unhandledRejection", onUnhandled);
  const counts = await play().finally(() => process.off("unhandledRejection", onUnhandled));
  return {
    seed,
    failure,
    trace: lines,
    digest: createHash("sha256").update(lines.join("\n")).digest("hex"),
    transitions: [...ledger.transitions],
    counts,
  };

  async function play(): Promise<Counts> {
    const world = drawWorld(random, start);
    const database = createSimulatedDatabase(simulation, {
      sql,
      defect,
      onSnapshot: ledger.compare,
      onRecords: (records) => {
        checkVersions(records, history.records.at(-1));
        history.records.push(records);
      },
    });
    await database.act((sql) => upsertSenders(sql, listSenders(world)));
    const accidents = createAccidentWatch(history);
    const broker = createSimulatedBroker(simulation);
    const providers = createSimulatedProviders(simulation, {
      history,
      onLeave: (process, attempt) => {
        accidents.begin(process, attempt);
        if (random.chance(simulation.faults.changeMeanwhile)) {
          timeline.after(random.between(0, MEANWHILE_MS), desk.changeNow);
        }
      },
      onCall: createCallCheck(simulation, { sql, history, ledger }),
      onTaken: (message) => {
        if (message.channel === "sms") reportMessage(simulation, { message, network });
      },
    });
    let cluster: Cluster | null = null;
    const network: Network = createNetwork(simulation, () => cluster?.hosts() ?? []);
    cluster = startCluster({
      simulation,
      clinics: world.clinics,
      database,
      broker,
      providers,
      network,
      createId: createIds(random, () => timeline.now() / 1_000),
      onTrouble: accidents.onTrouble,
    });
    const activeMs = random.pick(ACTIVE_MS);
    const desk = openClinicDesk(simulation, {
      world,
      database,
      network,
      importer: cluster.importer,
      activeMs,
    });
    desk.importAll();
    startClient(simulation, { world, submissions: history.submissions, network, activeMs });
    planOutages(simulation, { activeMs, outages: { database, broker, providers } });
    timeline.after(activeMs, () => {
      simulation.trace("simulation", "from here on nothing goes wrong");
      endFaults(simulation.faults);
      calmSince = timeline.now();
      desk.importAll();
    });
    await runOn(cluster, database, desk.importAll);
    return await checkEnd(simulation, { sql, history, ledger });
  }

  /** An import that is overtaken by a newer one changes nothing. */
  function checkVersions(records: ClinicRecords, before: ClinicRecords | undefined): void {
    for (const [id, { version }] of before?.appointments ?? []) {
      if ((records.appointments.get(id)?.version ?? 0) < version) {
        simulation.fail(`${id} went back to an older version`);
      }
    }
  }

  /** Goes from one thing that happens to the next. What comes round again and again comes when it has something to do. */
  async function runOn(
    cluster: Cluster,
    database: SimulatedDatabase,
    importAll: () => void,
  ): Promise<void> {
    let relayedAt = 0;
    let remindedAt = 0;
    let importedAt = timeline.now();
    let runPause = RUN_PAUSE_MICROS;
    let lastReminder = 0;
    for (let steps = 0; failure === null; steps += 1) {
      if (steps === STEPS_MAX) return simulation.fail("it does not come to an end");
      const reminderAt = await database.nextReminder();
      const wakeAt = nextWake(ledger.snapshot());
      if (
        calmSince + NEGLECT_MAX_MICROS < timeline.now() &&
        wakeAt < timeline.now() - NEGLECT_MAX_MICROS
      ) {
        return simulation.fail("what is due is looked at");
      }
      const relayAt = Math.max(relayedAt + RELAY_PAUSE_MICROS, wakeAt);
      const remindAt = Math.max(remindedAt + runPause, reminderAt);
      const at = Math.min(timeline.nextAt(), relayAt, remindAt);
      if (at === Infinity) return;
      if (at === timeline.nextAt()) {
        await timeline.step();
      } else if (at > importedAt + IMPORT_MAX_MICROS && calmSince < Infinity) {
        importedAt = at;
        timeline.moveTo(at);
        importAll();
      } else if (at === relayAt) {
        timeline.moveTo(at);
        relayedAt = timeline.now();
        cluster.relay();
        if (random.chance(0.3)) timeline.after(random.between(16_000, 40_000), cluster.relay);
      } else {
        timeline.moveTo(at);
        remindedAt = timeline.now();
        // Held back, for the data is old: it will not get better by asking every minute
        runPause = reminderAt === lastReminder
          ? Math.min(runPause * 2, RUN_PAUSE_MAX_MICROS)
          : RUN_PAUSE_MICROS;
        lastReminder = reminderAt;
        cluster.remind();
      }
      // All that our code does without waiting for the world outside
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

function listSenders({ clinics }: World) {
  const tests = CHANNELS.map((channel) => ({ id: `test:${channel}`, ratePerSecond: null }));
  const real = [...clinics.values()].flatMap(({ id, senders }) =>
    CHANNELS.map((channel) => ({
      id: `${id}:${channel}`,
      ratePerSecond: senders[channel]?.ratePerSecond ?? null,
    }))
  );
  return [...tests, ...real];
}

type Outages = {
  database: { goAway: (ms: number) => void };
  broker: { goAway: (ms: number) => void; wipe: () => void };
  providers: { goAway: (ms: number) => void };
};

function planOutages(
  { random, timeline, faults, trace }: Simulation,
  { activeMs, outages }: { activeMs: number; outages: Outages },
): void {
  const { database, broker, providers } = outages;
  const goAway = (name: string, one: { goAway: (ms: number) => void }) => () => {
    trace(name, "is away for a while");
    one.goAway(random.pick(OUTAGE_MS));
  };
  const plans = [
    { chance: faults.databaseAway, work: goAway("database", database) },
    { chance: faults.brokerAway, work: goAway("broker", broker) },
    { chance: faults.providerAway, work: goAway("providers", providers) },
    {
      chance: faults.brokerWiped,
      work: () => {
        trace("broker", "forgets everything");
        broker.wipe();
      },
    },
  ];
  for (const { chance, work } of plans) {
    for (let times = 0; times < 3; times += 1) {
      if (random.chance(chance)) timeline.after(random.between(0, activeMs), work);
    }
  }
}
