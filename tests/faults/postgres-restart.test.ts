import { performance } from "node:perf_hooks";
import { test } from "node:test";
import {
  type DatabaseFault,
  type Rig,
  startRig,
  surviveFault,
  untilReady,
} from "../support/database-fault.ts";
import {
  SERVICE_USER,
  shutDown,
  skipWithoutPostgresPrograms,
  startRefusing,
} from "../support/postgres-cluster.ts";
import { skipWithoutBroker } from "../support/queue.ts";

const skip = skipWithoutBroker() || await skipWithoutPostgresPrograms();

/** Away until the Dispatchers have noticed. */
function restartAfter(end: (rig: Rig) => Promise<void>): DatabaseFault {
  return async (rig) => {
    await end(rig);
    await untilReady(rig, false);
    await rig.primary.restart();
    return performance.now();
  };
}

const faults: Record<string, DatabaseFault> = {
  "a fast restart": restartAfter(({ primary }) => shutDown(primary, "SIGINT")),
  "an immediate restart": restartAfter(({ primary }) => shutDown(primary, "SIGQUIT")),
  "kill -9": restartAfter(({ primary }) => primary.kill()),
  "the end of all connections (57P01)": async ({ admin }) => {
    await admin`
      select pg_terminate_backend(pid) from pg_stat_activity where usename = ${SERVICE_USER}`;
    return performance.now();
  },
};

test("What was accepted outlives PostgreSQL's", { skip }, async (t) => {
  const rig = await startRig(t);
  for (const [name, fault] of Object.entries(faults)) {
    await t.test(name, (t) => surviveFault(t, rig, fault));
  }
  await t.test("slow start (57P03)", async (t) => {
    const starting = await startRefusing(t, "57P03");
    await surviveFault(t, rig, async ({ proxy, primary }) => {
      proxy.lead(starting);
      proxy.cut();
      await untilReady(rig, false);
      proxy.lead(primary.url);
      return performance.now();
    });
  });
});
