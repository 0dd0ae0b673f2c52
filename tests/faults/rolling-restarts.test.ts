import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { CHANNELS } from "../../src/shared/domain/delivery.ts";
import {
  CLINIC_KEY,
  deploy,
  type Deployment,
  OPERATOR_TOKEN,
  REPLICATED,
  type Replicated,
  TEST_KEY,
} from "../support/deployment.ts";
import { eventually } from "../support/eventually.ts";
import { notification } from "../support/load.ts";
import { startLoadBalancer } from "../support/load-balancer.ts";
import type { RunningService } from "../support/processes.ts";
import { skipWithoutBroker } from "../support/queue.ts";
import { post, startSteadyLoad, type SteadyLoad } from "../support/steady-load.ts";
import { createTestConfig } from "../support/test-config.ts";
import { assertNoneLostNoneDoubled, untilDrained } from "../support/verdict.ts";

const PER_SECOND = 300;
const ROUNDS = 5;
/** Enough for the requests on their way; Kubernetes is given 5 to 10 s. */
const PRE_STOP_MS = 1_000;
/** How long after SIGTERM the balancer still sends requests when it learns late. */
const LATE_MS = 500;
/** The pods' terminationGracePeriodSeconds, without the preStop sleep. */
const GRACE_MS = 45_000;
const DRAIN_MS = 60_000;
const IN_HAND = 20;
const RUN_PAUSE_MS = 250;
/** The sandbox's mail server and Twilio share the core with the load: the others go to the pretended provider. */
const REAL_EVERY = 15;

describe("rolling restarts under 300 requests a second", { skip: skipWithoutBroker() }, () => {
  test("fail no request, lose and double nothing, and end within the grace period", async (t) => {
    const system = await startUnderLoad();
    const { deployment } = system;
    const exits: Exit[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      exits.push(
        ...await Promise.all(REPLICATED.map(async (name) => {
          await deployment.start(name);
          const replica = deployment.withdraw(name);
          await sleep(PRE_STOP_MS);
          return await end(name, replica);
        })),
      );
    }
    await assertUnharmed(t, system, exits);
  });

  test("fail no request when the balancer learns half a second after SIGTERM", async (t) => {
    const system = await startUnderLoad();
    const { deployment } = system;
    const exits: Exit[] = [];
    for (const name of ["notification-dispatcher", "appointment-service"] as const) {
      await deployment.start(name);
      const [replica] = deployment.replicas(name);
      assert.ok(replica !== undefined);
      const ended = end(name, replica);
      await sleep(LATE_MS);
      deployment.withdraw(name);
      exits.push(await ended);
    }
    await assertUnharmed(t, system, exits);
  });
});

/** `SIGKILL`: the kubelet's, when the grace period has expired. */
for (const second of ["SIGTERM", "SIGKILL"] as const) {
  test(`nothing is lost when ${second} ends a dispatcher while it drains`, {
    skip: skipWithoutBroker(),
  }, async (t) => {
    const deployment = await deploy({
      services: ["notification-dispatcher", "email-worker"],
      replicasOfEach: 1,
      environment: { CONFIG_DIR: await createTestConfig() },
    });
    const { sql, dispatcherUrl } = deployment;
    const asked = { requested: new Set<string>(), accepted: new Set<string>() };
    const bodies = Array.from({ length: IN_HAND }, (_, index) => {
      const request = notification(index, "email", `in-hand-${index}`);
      asked.requested.add(request.reference);
      return JSON.stringify(request);
    });
    const submitAll = () =>
      Promise.all(
        bodies.map((body) => post(`${dispatcherUrl}/v1/notifications`, { key: CLINIC_KEY, body })),
      );

    const locked = Promise.withResolvers<void>();
    const unlock = Promise.withResolvers<void>();
    const lock = sql.begin(async (tx) => {
      await tx`lock table delivery.notification in exclusive mode`;
      locked.resolve();
      await unlock.promise;
    });
    await locked.promise;
    const answers = submitAll();
    await eventually("the requests wait for the database", async () => {
      const waiting =
        await sql`select from pg_locks where not granted and relation = 'delivery.notification'::regclass`;
      return waiting.length > 0;
    });
    const replica = deployment.withdraw("notification-dispatcher");
    replica.signal("SIGTERM");
    await eventually("it is not ready any more", async () => {
      const ready = await fetch(`${replica.url}/readyz`);
      return ready.status === 503 && (await ready.text()).includes("stopping");
    });
    replica.signal(second);
    assert.equal(await replica.exited, null, "it has ended by the signal");
    for (const { status } of await answers) assert.equal(status, 502);
    unlock.resolve();
    await lock;

    await deployment.start("notification-dispatcher");
    for (const { status } of await submitAll()) assert.equal(status, 202, "the clients' repeat");
    asked.accepted = asked.requested;
    await untilDrained(deployment, { timeoutMs: DRAIN_MS });
    await assertNoneLostNoneDoubled(t, deployment, { asked, measured: {} });
  });
}

type Exit = { name: Replicated; code: number | null; ms: number };

async function end(name: Replicated, replica: RunningService): Promise<Exit> {
  const startedAt = performance.now();
  replica.signal("SIGTERM");
  const code = await replica.exited;
  return { name, code, ms: Math.round(performance.now() - startedAt) };
}

type System = {
  deployment: Deployment;
  load: SteadyLoad;
  /** Asks for reminder runs meanwhile. Returns the statuses of the answers, but 200. */
  stopRuns: () => Promise<number[]>;
};

/** Both HTTP services behind balancers that keep their connections, as an Ingress does. */
async function startUnderLoad(): Promise<System> {
  const deployment = await deploy({
    replicasOfEach: 2,
    environment: { CONFIG_DIR: await createTestConfig() },
  });
  const balance = (name: Replicated) =>
    startLoadBalancer(() => deployment.replicas(name).map(({ url }) => url), { keepAlive: true });
  const dispatcher = await balance("notification-dispatcher");
  const appointmentService = await balance("appointment-service");
  const load = startSteadyLoad({
    ...{ url: dispatcher.url, perSecond: PER_SECOND },
    make: (index) => ({
      key: index % REAL_EVERY === 0 ? CLINIC_KEY : TEST_KEY,
      notification: notification(index, CHANNELS[index % 2] ?? "email", `rolling-${index}`),
    }),
  });
  const stopRuns = repeatRuns(appointmentService.url);
  await eventually("the load is there", () => load.accepted.size > PER_SECOND);
  return { deployment, load, stopRuns };
}

function repeatRuns(url: string): System["stopRuns"] {
  const others: number[] = [];
  let going = true;
  const done = (async () => {
    while (going) {
      const { status } = await post(`${url}/v1/reminder-runs`, { key: OPERATOR_TOKEN, body: "{}" });
      if (status !== 200) others.push(status);
      await sleep(RUN_PAUSE_MS);
    }
  })();
  return async () => {
    going = false;
    await done;
    return others;
  };
}

async function assertUnharmed(
  t: TestContext,
  { deployment, load, stopRuns }: System,
  exits: readonly Exit[],
): Promise<void> {
  await load.stop();
  const failedRuns = await stopRuns();
  await untilDrained(deployment, { timeoutMs: DRAIN_MS });
  const failed = load.requested.size - load.accepted.size;
  const slowest = Math.max(...exits.map(({ ms }) => ms));
  const measured = { SIGTERMs: exits.length, failed, "slowest exit ms": slowest };
  await assertNoneLostNoneDoubled(t, deployment, { asked: load, measured });
  assert.deepEqual(load.refused(), {}, "answers that were not 202");
  assert.deepEqual(failedRuns, [], "answers to reminder runs that were not 200");
  for (const { name, code, ms } of exits) {
    assert.equal(code, 0, `${name}: its exit code`);
    assert.ok(ms < GRACE_MS, `${name} took ${ms} ms to end`);
  }
}
