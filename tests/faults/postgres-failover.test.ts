import assert from "node:assert/strict";
import { performance } from "node:perf_hooks";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connectDatabase } from "../../src/shared/database/connect.ts";
import { startRig, surviveFault, untilReady } from "../support/database-fault.ts";
import { deploy, REPLICATED } from "../support/deployment.ts";
import { eventually } from "../support/eventually.ts";
import {
  failOver,
  skipWithoutPostgresPrograms,
  startCluster,
} from "../support/postgres-cluster.ts";
import { skipWithoutBroker } from "../support/queue.ts";
import { createTestConfig } from "../support/test-config.ts";

const skip = skipWithoutBroker() || await skipWithoutPostgresPrograms();

/** So long the way to the primary still leads to the former one, which is back as a standby. */
const STALE_MS = 1_500;

test("What was accepted outlives the primary", { skip }, async (t) => {
  const rig = await startRig(t);
  const standby = await rig.addStandby();
  const sql = connectDatabase(standby.url, { name: "test" });
  t.after(() => sql.end({ timeout: 1 }));

  await surviveFault(t, { ...rig, deployment: { ...rig.deployment, sql } }, async () => {
    await failOver(rig, standby);
    await sleep(STALE_MS);
    await untilReady(rig, false);
    rig.proxy.lead(standby.url);
    return performance.now();
  });
});

test("Services that start before the database is there need no help", { skip }, async (t) => {
  const cluster = await startCluster(t);
  cluster.proxy.refuse(true);
  const deployment = await deploy({
    services: [],
    database: cluster.database,
    environment: { CONFIG_DIR: await createTestConfig() },
  });
  const etl = deployment.runEtl();
  const starting = Promise.all(REPLICATED.map((name) => deployment.start(name)));
  await eventually("all have asked for the database", () => cluster.proxy.refused() > 20);
  cluster.proxy.refuse(false);

  const { code, output } = await etl;
  assert.equal(code, 0, output);
  await starting;
  const rig = { ...cluster, deployment };
  await surviveFault(t, rig, () => Promise.resolve(performance.now()));
});
