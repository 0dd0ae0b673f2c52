import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import process from "node:process";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { CHANNELS } from "../../src/shared/domain/delivery.ts";
import { createRandom, type Random } from "../simulation/random.ts";
import {
  CLINIC_KEY,
  deploy,
  type Deployment,
  REPLICATED,
  type Replicated,
  TEST_KEY,
} from "../support/deployment.ts";
import { notification } from "../support/load.ts";
import { skipWithoutBroker } from "../support/queue.ts";
import { startSteadyLoad } from "../support/steady-load.ts";
import { createTestConfig } from "../support/test-config.ts";
import { describeVerdict, judgeAll, untilDrained } from "../support/verdict.ts";

const LONG = process.env.CARILLON_FAULTS_LONG === "1";

/** Each round has a seed of its own: the first is 1 in the short form, and anything in the long one. */
const ROUNDS = LONG ? 6 : 1;
const ROUND_MS = LONG ? 300_000 : 12_000;
const PER_SECOND = 50;
const REAL_EVERY = 10;
const PAUSE_MAX_MS = 3_000;
const PRE_STOP_MS = 1_000;
const STANDSTILL_MAX_MS = 4_000;
/** What a killed worker had in hand is looked at when its lease has ended, after two minutes. */
const DRAIN_MS = LONG ? 300_000 : 60_000;
/** One worker has so many mails under way at once: of each nobody knows whether it left when it is killed. */
const UNCLEAR_PER_KILL_MAX = 10;

const HTTP_SERVICES = ["notification-dispatcher", "appointment-service"] as const;

type Kind = "replace" | "kill" | "stand still";
type Counts = Record<Kind, number>;

describe(
  "whatever happens to the services under a steady load",
  { skip: skipWithoutBroker() },
  () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const seed = LONG ? randomInt(2 ** 32) : 1;
      test(`nothing is lost (seed ${seed})`, async (t) => {
        const deployment = await deploy({
          replicasOfEach: 2,
          environment: { CONFIG_DIR: await createTestConfig() },
        });
        const load = startSteadyLoad({
          ...{ url: deployment.dispatcherUrl, perSecond: PER_SECOND },
          make: (index) => ({
            key: index % REAL_EVERY === 0 ? CLINIC_KEY : TEST_KEY,
            notification: notification(index, CHANNELS[index % 2] ?? "email", `soak-${index}`),
          }),
        });
        const counts = await harm(deployment, createRandom(seed));
        await load.stop();
        await untilDrained(deployment, { timeoutMs: DRAIN_MS });

        const verdict = await judgeAll(deployment, load);
        const failed = load.requested.size - load.accepted.size;
        t.diagnostic(`seed ${seed}: ${describeVerdict(verdict, { failed, ...counts })}`);
        assert.deepEqual(verdict.lost, []);
        assert.deepEqual(verdict.unexpected, []);
        assert.equal(verdict.open, 0);
        const duplicates = Object.values(verdict.duplicated);
        assert.ok(
          duplicates.length <= counts.kill * UNCLEAR_PER_KILL_MAX,
          "doubled without a kill",
        );
        assert.deepEqual(await listDoubledTexts(deployment, verdict.duplicated), []);
      });
    }
  },
);

/** Does this and that to random replicas until the round is over. Returns how often. */
async function harm(deployment: Deployment, random: Random): Promise<Counts> {
  const counts: Counts = { replace: 0, kill: 0, "stand still": 0 };
  const end = performance.now() + ROUND_MS;
  while (performance.now() < end) {
    const kind = random.pick(["replace", "kill", "stand still"] as const);
    // What a killed worker had in hand takes two minutes to come back
    const name = random.pick(kind === "kill" && !LONG ? HTTP_SERVICES : REPLICATED);
    await HARM[kind](deployment, name, random);
    counts[kind] += 1;
    await sleep(random.integer(0, PAUSE_MAX_MS));
  }
  return counts;
}

type Harm = (deployment: Deployment, name: Replicated, random: Random) => Promise<void>;

const HARM: Record<Kind, Harm> = {
  replace: async (deployment, name) => {
    await deployment.start(name);
    const replica = deployment.withdraw(name);
    await sleep(PRE_STOP_MS);
    replica.signal("SIGTERM");
    assert.equal(await replica.exited, 0, `${name}: its exit code`);
  },
  kill: async (deployment, name, random) => {
    await deployment.kill(name, random.pick(deployment.replicas(name)));
    await deployment.start(name);
  },
  "stand still": async (deployment, name, random) => {
    const replica = random.pick(deployment.replicas(name));
    replica.signal("SIGSTOP");
    await sleep(random.integer(0, STANDSTILL_MAX_MS));
    replica.signal("SIGCONT");
  },
};

/** Twilio can be asked whether a message left: a text is never sent twice. */
async function listDoubledTexts(
  { sql }: Deployment,
  duplicated: Readonly<Record<string, number>>,
): Promise<string[]> {
  const texts = await sql<{ id: string }[]>`
    select id from delivery.delivery
     where channel = 'sms' and id = any(${Object.keys(duplicated)}::uuid[])`;
  return texts.map(({ id }) => id);
}
