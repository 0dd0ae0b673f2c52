import assert from "node:assert/strict";
import process from "node:process";
import { describe, test } from "node:test";
import type { Channel } from "../../src/shared/domain/delivery.ts";
import { eventually } from "../support/eventually.ts";
import { describeVerdict, type FaultWorld, startFaultWorld } from "../support/fault-world.ts";
import { readDelivery } from "../support/ledger.ts";
import type { RunningService } from "../support/processes.ts";
import { skipWithoutBroker } from "../support/queue.ts";
import { createStoppingProxy, type StoppingProxy } from "../support/stopping-proxy.ts";

/** Of the statements that take the lease and record the outcome: no other has these words. */
const LEASE = "quiet_ends_at";
const RECORD = "enquired boolean";

/** The long form goes through the steps again and again. */
const ROUNDS = process.env.CARILLON_FAULTS_LONG === "1" ? 5 : 1;

/** Resolves never: the provider's answer comes too late for a worker that is killed. */
const forever = new Promise<never>(() => {});

type Step = {
  name: string;
  /** Brings the worker to the step with the next delivery; resolves when it is there. */
  reach: (world: FaultWorld, proxy: StoppingProxy, channel: Channel) => () => Promise<unknown>;
  /** Messages that have arrived when all is over. For email one more may, for nobody can be asked. */
  arrives: Record<Channel, number>;
};

const STEPS: Step[] = [
  {
    name: "after the lease's commit, before the worker knew",
    reach: (_, proxy) => {
      const stopped = proxy.stopAfter(LEASE);
      return () => stopped;
    },
    arrives: { sms: 1, email: 1 },
  },
  {
    name: "during the call, which the provider has not taken",
    reach: (world, _, channel) => hold(world, channel, { taken: false }),
    arrives: { sms: 1, email: 1 },
  },
  {
    name: "during the call, which the provider has taken",
    reach: (world, _, channel) => hold(world, channel, { taken: true }),
    arrives: { sms: 1, email: 2 },
  },
  {
    name: "after the answer, before the record",
    reach: (_, proxy) => {
      const stopped = proxy.stopBefore(RECORD);
      return () => stopped;
    },
    arrives: { sms: 1, email: 2 },
  },
  {
    name: "after the record, before the ack",
    reach: (_, proxy) => {
      const stopped = proxy.stopAfter(RECORD);
      return () => stopped;
    },
    arrives: { sms: 1, email: 1 },
  },
];

/** The provider keeps its answer. Returns what waits until it has the call. */
function hold(
  { smtp, twilio, arrived }: FaultWorld,
  channel: Channel,
  { taken, until = forever }: { taken: boolean; until?: Promise<unknown> },
): () => Promise<unknown> {
  const before = { arrived: arrived().length, sms: twilio.calls("POST"), data: smtp.visits().DATA };
  if (channel === "sms") twilio.fail("POST", taken ? { keptUntil: until } : until);
  else smtp.fail(taken ? "body" : "DATA", until);
  return () =>
    eventually("the provider has the call", () => {
      if (taken) return arrived().length > before.arrived;
      return channel === "sms"
        ? twilio.calls("POST") > before.sms
        : smtp.visits().DATA > before.data;
    });
}

describe("a worker that is lost at any step", { skip: skipWithoutBroker() }, () => {
  for (const channel of ["sms", "email"] as const) {
    test(`by ${channel}: loses nothing, and doubles no more than cannot be known`, async (t) => {
      const world = await startFaultWorld(["notification-dispatcher"]);
      const { deployment, submit, endLeases, endDelays } = world;
      const name = `${channel}-worker` as const;
      const startVictim = async (): Promise<[RunningService, StoppingProxy]> => {
        const proxy = await createStoppingProxy(deployment.databaseUrl);
        return [await deployment.start(name, { DATABASE_URL: proxy.url }), proxy];
      };

      const cases: { step: Pick<Step, "name" | "arrives">; deliveryId: string }[] = [];
      for (const step of Array.from({ length: ROUNDS }, () => STEPS).flat()) {
        const [victim, proxy] = await startVictim();
        const reached = step.reach(world, proxy, channel);
        const { deliveryId } = await submit(channel);
        await reached();
        await eventually(`${step.name}: what was asked of the ledger is done`, async () => {
          const { status } = await readDelivery(deployment.sql, deliveryId);
          return status === (step.name.startsWith("after the record") ? "sent" : "sending");
        });
        await deployment.kill(name, victim);
        cases.push({ step, deliveryId });
      }

      // One more stands still during a call, comes back when another has seen to its delivery, and goes on as before
      const [sleeper] = await startVictim();
      const answer = Promise.withResolvers<void>();
      const reached = hold(world, channel, { taken: true, until: answer.promise });
      const { deliveryId } = await submit(channel);
      await reached();
      sleeper.signal("SIGSTOP");
      const stoodStill = "standing still beyond the lease, during the call";
      cases.push({ step: { name: stoodStill, arrives: { sms: 1, email: 2 } }, deliveryId });

      await deployment.start(name);
      await endLeases();
      await eventually("all that was left is taken up", async () => {
        await endDelays(); // The sleeper has been given hints too
        const rows = await Promise.all(
          cases.map((one) => readDelivery(deployment.sql, one.deliveryId)),
        );
        return rows.every(({ status }) => status === "sent");
      }, { timeoutMs: 30_000 });
      answer.resolve();
      sleeper.signal("SIGCONT");
      const { deliveryId: afterwards } = await submit(channel);
      await world.untilNoneIsOpen();

      const verdict = await world.verdict();
      t.diagnostic(describeVerdict(`${channel}-worker lost at ${cases.length} steps`, verdict));
      const arrived = Map.groupBy(world.arrived(), (id) => id);
      const counts = cases.map(({ step, deliveryId }) => [
        step.name,
        arrived.get(deliveryId)?.length ?? 0,
      ]);
      assert.deepEqual(counts, cases.map(({ step }) => [step.name, step.arrives[channel]]));
      assert.equal(arrived.get(afterwards)?.length, 1, "neighbours go on");
      assert.deepEqual([verdict.lost, verdict.unexpected, verdict.open], [[], [], 0]);
      const late = await readDelivery(deployment.sql, deliveryId);
      assert.equal(late.status, "sent", "what the sleeper brought back undid nothing");
      await eventually("the sleeper works again", async () => {
        const { ok, body } = await fetch(`${sleeper.url}/readyz`);
        await body?.cancel();
        return ok;
      });
    });
  }
});
