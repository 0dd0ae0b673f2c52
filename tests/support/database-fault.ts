import assert from "node:assert/strict";
import { performance } from "node:perf_hooks";
import process from "node:process";
import type { TestContext } from "node:test";
import { deploy, type Deployment, REPLICATED } from "./deployment.ts";
import { eventually } from "./eventually.ts";
import { judge, secondsUntilDrained } from "./load.ts";
import { measureStall, type PatientLoad, type Stall, startPatientLoad } from "./patient-load.ts";
import { type PostgresCluster, startCluster } from "./postgres-cluster.ts";
import { createTestConfig } from "./test-config.ts";

export type Rig = PostgresCluster & { deployment: Deployment };

/** Does harm and makes it good again. Returns when the database was back, by `performance.now()`. */
export type DatabaseFault = (rig: Rig) => Promise<number>;

/**
 * From when the database is back: until the first 202, and the longest call that begins then. To both bounds what a
 * call took before the fault is added: on a machine with other work that is seconds.
 */
const STALL_MAX_MS = 2_000;
/** The Dispatcher answers within that time, whatever it waits for. */
const ANSWER_MAX_MS = 5_000;
const MEMORY_MAX_MB = 300;
const READY_MAX_MS = 15_000;
/** Submits before the fault, and after it. */
const SUBMITS_AROUND = 25;
const ROUNDS = process.env.CARILLON_FAULTS_LONG === "1" ? 10 : 1;
const PERSONAL_DATA = /@patients\.example\.org|\+346|\bSam\b/;

/** Carillon on a PostgreSQL of its own: two Dispatchers, and one of each other service. */
export async function startRig(t: TestContext): Promise<Rig> {
  const cluster = await startCluster(t);
  const deployment = await deploy({
    replicasOfEach: 1,
    database: cluster.database,
    environment: { CONFIG_DIR: await createTestConfig() },
  });
  await deployment.start("notification-dispatcher");
  return { ...cluster, deployment };
}

/** Waits until every Dispatcher is ready, or none is. */
export async function untilReady(
  { deployment }: Rig,
  ready: boolean,
  { timeoutMs = READY_MAX_MS }: { timeoutMs?: number } = {},
): Promise<void> {
  await eventually(`the Dispatchers are ${ready ? "" : "not "}ready`, async () => {
    const urls = deployment.replicas("notification-dispatcher").map(({ url }) => url);
    const answers = await Promise.all(urls.map((url) => fetch(`${url}/readyz`)));
    for (const { body } of answers) void body?.cancel();
    return answers.every(({ ok }) => ok === ready);
  }, { timeoutMs });
}

/**
 * Lets a fault happen under load, and asserts the promises: each notification is accepted in the end and arrives once,
 * every call is answered in time, no process ends.
 */
export async function surviveFault(t: TestContext, rig: Rig, fault: DatabaseFault): Promise<void> {
  for (let round = 1; round <= ROUNDS; round += 1) {
    const name = `${t.name.replaceAll(/\W+/g, "-")}-${round}-`;
    const load = startPatientLoad(rig.deployment, name);
    const stall = measureStall(load.calls, await runThrough(rig, { load, fault }));
    await assertPromises(t, rig, { load, stall, round });
  }
}

async function runThrough(
  rig: Rig,
  { load, fault }: { load: PatientLoad; fault: DatabaseFault },
): Promise<{ faultAt: number; backAt: number }> {
  try {
    await untilMoreAccepted(load);
    const faultAt = performance.now();
    const backAt = await fault(rig);
    await untilReady(rig, true);
    await untilMoreAccepted(load);
    return { faultAt, backAt };
  } finally {
    await load.stop();
  }
}

async function untilMoreAccepted({ name, ids }: PatientLoad): Promise<void> {
  const enough = ids.size + SUBMITS_AROUND;
  await eventually(`${name} goes on`, () => ids.size >= enough);
}

async function assertPromises(
  t: TestContext,
  { deployment }: Rig,
  { load, stall, round }: { load: PatientLoad; stall: Stall; round: number },
): Promise<void> {
  const drainedSeconds = await secondsUntilDrained(deployment, { load });
  const verdict = await judge(deployment, load);
  const { lost, duplicated, unexpected, requested, accepted, arrived } = verdict;
  const counts = {
    round,
    requested,
    accepted,
    arrived,
    lost: lost.length,
    duplicated: Object.keys(duplicated).length,
    unexpected: unexpected.length,
    recovered: load.recovered.size,
    refused: load.calls.filter(({ status }) => status === 503).length,
    "ms until the first 202": stall.untilAccepted,
    "longest call since": stall.longestSince,
    "of all": stall.longest,
    "before": stall.usual,
    "seconds to drain": drainedSeconds,
    "megabytes": Math.round(load.memoryMax()),
  };
  t.diagnostic(Object.entries(counts).map(([name, value]) => `${name} ${value}`).join(", "));

  assert.deepEqual({ lost, duplicated, unexpected }, { lost: [], duplicated: {}, unexpected: [] });
  assert.equal(accepted, requested, "each was accepted in the end");
  assert.equal(arrived, accepted, "each arrived, and none has failed");
  await assertIds(deployment, load);
  const others = [...load.calls, ...load.runs].filter(({ status, retryAfter }) =>
    ![200, 202].includes(status ?? 0) && (status !== 503 || retryAfter === null)
  );
  assert.deepEqual(others, [], "answers other than success and 503 with Retry-After");
  const { usual, untilAccepted, longestSince, longest } = stall;
  assert.ok(untilAccepted <= STALL_MAX_MS + usual, `the first 202 took ${untilAccepted} ms`);
  assert.ok(longestSince <= STALL_MAX_MS + usual, `then a call took ${longestSince} ms`);
  assert.ok(longest <= ANSWER_MAX_MS + usual, `a call took ${longest} ms`);
  assert.ok(load.memoryMax() <= MEMORY_MAX_MB, `a Dispatcher took ${load.memoryMax()} MB`);
  await assertUnharmed(deployment);
}

/** A repeat was answered with the id of what the first had stored. */
async function assertIds({ sql }: Deployment, { name, ids }: PatientLoad): Promise<void> {
  const rows = await sql<{ reference: string; id: string }[]>`
    select reference, id from delivery.notification where reference like ${`${name}-%`}
  `;
  assert.deepEqual(new Map(rows.map(({ reference, id }) => [reference, id])), new Map(ids));
}

/** No process has ended, and none has written what it must not. */
export async function assertUnharmed(deployment: Deployment): Promise<void> {
  for (const name of REPLICATED) {
    for (const { exited } of deployment.replicas(name)) {
      const code = await Promise.race([exited, Promise.resolve("running")]);
      assert.equal(code, "running", `${name} has ended:\n${deployment.output()}`);
    }
  }
  assert.doesNotMatch(deployment.output(), PERSONAL_DATA);
}
