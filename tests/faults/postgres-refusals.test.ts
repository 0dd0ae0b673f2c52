import { performance } from "node:perf_hooks";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type DatabaseFault,
  type Rig,
  startRig,
  surviveFault,
  untilReady,
} from "../support/database-fault.ts";
import { SERVICE_USER, skipWithoutPostgresPrograms } from "../support/postgres-cluster.ts";
import { skipWithoutBroker } from "../support/queue.ts";

const skip = skipWithoutBroker() || await skipWithoutPostgresPrograms();

const TROUBLE_MS = 1_500;
const REFUSED_SHARE = 0.4;
const LOCK_MS = 10_000;
/** A statement's 5 s, 2 s of silence after it, two looks a second apart. The rest is this machine's. */
const NOTICED_MAX_MS = 12_000;

/** From now on statements that write can be made to fail. */
async function installRefusals({ admin }: Rig): Promise<void> {
  await admin.unsafe(`
    create table public.refusal (code text not null);
    create function public.refuse_some() returns trigger language plpgsql security definer as $$
    declare refusal text := (select code from public.refusal);
    begin
      if refusal is not null and random() < ${REFUSED_SHARE} then
        raise exception 'refused by the test' using errcode = refusal;
      end if;
      return null;
    end $$;
    create trigger refuse_some before insert or update on delivery.delivery
      for each statement execute function public.refuse_some();
  `);
}

/** Some of the statements that write fail with `code` for a while. */
function refuseSome(code: string): DatabaseFault {
  return async ({ admin }) => {
    await admin`insert into public.refusal values (${code})`;
    await sleep(TROUBLE_MS);
    await admin`delete from public.refusal`;
    return performance.now();
  };
}

const faults: Record<string, DatabaseFault> = {
  "serialization failures (40001)": refuseSome("40001"),
  "deadlocks (40P01)": refuseSome("40P01"),
  "a full disk (53100)": refuseSome("53100"),

  "a primary made read-only (25006)": async ({ admin }) => {
    await admin`alter system set default_transaction_read_only = on`;
    await admin`select pg_reload_conf()`;
    await sleep(TROUBLE_MS);
    await admin`alter system reset default_transaction_read_only`;
    await admin`select pg_reload_conf()`;
    return performance.now();
  },

  "too many connections (53300)": async ({ admin }) => {
    await admin.unsafe(`alter role ${SERVICE_USER} connection limit 1`);
    await admin`
      select pg_terminate_backend(pid) from pg_stat_activity where usename = ${SERVICE_USER}`;
    await sleep(TROUBLE_MS);
    await admin.unsafe(`alter role ${SERVICE_USER} connection limit -1`);
    return performance.now();
  },

  "a table locked for 10 s": async (rig) => {
    await rig.admin.begin(async (tx) => {
      await tx`lock table delivery.delivery in exclusive mode`;
      await Promise.all([sleep(LOCK_MS), untilReady(rig, false)]);
    });
    return performance.now();
  },

  "a network that swallows everything": async (rig) => {
    const frozenAt = performance.now();
    rig.proxy.freeze();
    await untilReady(rig, false);
    // Nobody tells the Dispatchers. They give up the old connections by themselves, and new ones work
    const leftMs = NOTICED_MAX_MS - (performance.now() - frozenAt);
    await untilReady(rig, true, { timeoutMs: leftMs });
    return performance.now();
  },
};

test("What was accepted outlives", { skip }, async (t) => {
  const rig = await startRig(t);
  await installRefusals(rig);
  for (const [name, fault] of Object.entries(faults)) {
    await t.test(name, (t) => surviveFault(t, rig, fault));
  }
});
