import assert from "node:assert/strict";
import process from "node:process";
import { after, describe, test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type postgres from "postgres";
import { connectRabbitMq } from "../../src/shared/messaging/rabbitmq-queue.ts";
import { createLog } from "../../src/shared/runtime/log.ts";
import {
  CLINIC_KEY,
  deploy,
  type Deployment,
  SERVICE_KEY,
  TEST_KEY,
} from "../support/deployment.ts";
import { eventually } from "../support/eventually.ts";
import { notification } from "../support/load.ts";
import { brokerUrl, skipWithoutBroker } from "../support/queue.ts";
import { createSlowMailServer } from "../support/slow-mail-server.ts";
import { post, startSteadyLoad, type SteadyLoad } from "../support/steady-load.ts";
import { createTestConfig } from "../support/test-config.ts";
import { assertNoneLostNoneDoubled, untilDrained } from "../support/verdict.ts";
import { watchProcesses } from "../support/watch-processes.ts";

const LONG = process.env.CARILLON_FAULTS_LONG === "1";

/** Of the flood, half was asked for in time, as reminders of 09:00 are, and half is asked for at 09:00. */
const FLOOD = LONG ? 100_000 : 10_000;
const BATCH = 500;
const BATCHES_AT_ONCE = 4;
const DRAIN_MS = LONG ? 900_000 : 120_000;

/** So few are the urgent ones that go on. */
const FLOOD_OVER = 10;

const OTHER_CLINICS = ["ruiz", "maple", "lindenhof"];
const OTHERS_PER_SECOND = 12;
/** From when a message is due until the provider has it. */
const OTHERS_P99_MAX_SECONDS = 10;
const WITHDRAWN = 20;
const WITHDRAW_EVERY_MS = 100;

const RESIDENT_MAX_MIB = 512;
/** Far above what the relay keeps in it, far below the flood. */
const QUEUE_MAX = 3_000;

const BURST = 1_000;
const LOCKED_MS = 2_000;

/** Ten connections of one worker, five mails a second each: half of what is asked for. */
const SLOW_MAIL_MS = 200;
const SLOW_PER_SECOND = 100;
const SLOW_SECONDS = 8;

describe("overload", { skip: skipWithoutBroker() }, () => {
  test("of one clinic at 09:00 delays no other, nor word that an appointment is off", async (t) => {
    const deployment = await deploy({
      services: ["notification-dispatcher", "email-worker"],
      replicasOfEach: 2,
      environment: { CONFIG_DIR: await createTestConfig() },
    });
    const watch = await watchAll(deployment);
    const flood = { requested: new Set<string>(), accepted: new Set<string>() };
    const nine = new Date(Date.now() + 3_600_000).toISOString();
    await submitFlood(deployment, flood, { from: 0, to: FLOOD / 2, sendAt: nine });
    const others = startOthers(deployment);
    const urgent = startUrgent(deployment);

    const startedAt = performance.now();
    await strikeNine(deployment.sql);
    const now = submitFlood(deployment, flood, { from: FLOOD / 2, to: FLOOD });
    const withdrawn = await withdrawSome(deployment);
    await now;
    await untilFloodDrained(deployment);
    const drainSeconds = (performance.now() - startedAt) / 1_000;
    await others.stop();
    await urgent.stop();
    await untilDrained(deployment, { timeoutMs: DRAIN_MS });

    const late = {
      others: await p99Seconds(deployment.sql, "other-%", "sent"),
      urgent: await p99Seconds(deployment.sql, "urgent-%", "sent"),
    };
    const asked = union([flood, others, urgent]);
    await assertWithin(t, deployment, {
      ...{ asked, watch },
      measured: {
        "drained after s": drainSeconds.toFixed(1),
        "others' p99 s": late.others.toFixed(2),
        "of which until a worker had them": (await p99Seconds(deployment.sql, "other-%", "sending"))
          .toFixed(2),
        "urgent p99 s": late.urgent.toFixed(2),
        withdrawn: withdrawn.length,
      },
    });
    assert.ok(late.others <= OTHERS_P99_MAX_SECONDS, `others' p99: ${late.others} s`);
    assert.ok(late.urgent <= OTHERS_P99_MAX_SECONDS, `urgent p99: ${late.urgent} s`);
    assert.deepEqual(await listSent(deployment.sql, withdrawn), [], "sent though withdrawn");
  });

  test("by requests is refused early, and leaves room for others", async (t) => {
    const deployment = await deploy({
      services: ["notification-dispatcher", "email-worker"],
      replicasOfEach: 1,
      environment: { CONFIG_DIR: await createTestConfig() },
    });
    const watch = await watchAll(deployment);
    const asked = { requested: new Set<string>(), accepted: new Set<string>() };
    const submit = async (reference: string, key: string, clinic?: string) => {
      const body = JSON.stringify({ ...notification(1, "email", reference), clinic });
      asked.requested.add(reference);
      const answer = await post(`${deployment.dispatcherUrl}/v1/notifications`, { key, body });
      if (answer.status === 202) asked.accepted.add(reference);
      return answer;
    };

    // Nothing can be stored for a while, as when the database is slow
    const locked = deployment.sql.begin(async (tx) => {
      await tx`lock table delivery.notification in exclusive mode`;
      await sleep(LOCKED_MS);
    });
    const burst = Promise.all(
      Array.from({ length: BURST }, (_, index) => submit(`burst-${index}`, CLINIC_KEY)),
    );
    await sleep(LOCKED_MS / 2);
    const others = await Promise.all(
      Array.from({ length: 20 }, (_, index) => submit(`beside-${index}`, SERVICE_KEY, "ruiz")),
    );
    const answers = await burst;
    await locked;
    const urgent = await submit("afterwards", CLINIC_KEY);

    const refused = answers.filter(({ status }) => status !== 202);
    await untilDrained(deployment, { timeoutMs: DRAIN_MS });
    await assertWithin(t, deployment, { asked, watch, measured: { refused: refused.length } });
    assert.ok(refused.length > 0, "a burst beyond the limit is refused in part");
    for (const { status, headers } of refused) {
      assert.equal(status, 429);
      assert.match(`${headers["retry-after"]}`, /^\d+$/);
    }
    assert.deepEqual([...new Set(others.map(({ status }) => status))], [202]);
    assert.equal(urgent.status, 202);
  });

  test("of a provider at half speed fills neither queue nor memory, and loses nothing", async (t) => {
    const mailServer = await createSlowMailServer({ answerAfterMs: SLOW_MAIL_MS });
    const deployment = await deploy({
      services: ["notification-dispatcher", "email-worker"],
      replicasOfEach: 1,
      environment: { CONFIG_DIR: await createTestConfig(), SMTP_URL: mailServer.url },
    });
    const watch = await watchAll(deployment);
    const load = startSteadyLoad({
      ...{ url: deployment.dispatcherUrl, perSecond: SLOW_PER_SECOND },
      make: (index) => ({
        key: CLINIC_KEY,
        notification: notification(index, "email", `slow-${index}`),
      }),
    });
    await sleep(SLOW_SECONDS * 1_000);
    await load.stop();
    const startedAt = performance.now();
    await untilDrained(deployment, { timeoutMs: DRAIN_MS });
    const drainSeconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
    await assertWithin(t, { ...deployment, arrived: mailServer.arrived }, {
      ...{ asked: load, watch, measured: { "drained after s": drainSeconds } },
    });
    assert.deepEqual(load.refused(), {}, "answers that were not 202");
  });
});

type Asked = { requested: Set<string>; accepted: Set<string> };

async function submitFlood(
  { dispatcherUrl }: Deployment,
  { requested, accepted }: Asked,
  { from, to, sendAt }: { from: number; to: number; sendAt?: string },
): Promise<void> {
  const firsts = Array.from({ length: (to - from) / BATCH }, (_, index) => from + index * BATCH);
  const submitBatch = async (first: number) => {
    const notifications = Array.from({ length: BATCH }, (_, index) => ({
      ...notification(first + index, "email", `flood-${first + index}`),
      sendAt,
    }));
    for (const { reference } of notifications) requested.add(reference);
    const answer = await post(`${dispatcherUrl}/v1/notifications/batch`, {
      key: TEST_KEY,
      body: JSON.stringify({ notifications }),
    });
    assert.equal(answer.status, 200, answer.body);
    const { results } = JSON.parse(answer.body) as { results: { status: number }[] };
    results.forEach(({ status }, index) => {
      if (status === 202) accepted.add(`flood-${first + index}`);
    });
  };
  const left = firsts.values(); // Shared: each takes the next
  await Promise.all(Array.from({ length: BATCHES_AT_ONCE }, async () => {
    for (const first of left) await submitBatch(first);
  }));
}

/** Moves what is due at 09:00 to now: the ledger's clock is the database's and cannot be set. */
async function strikeNine(sql: postgres.Sql): Promise<void> {
  await sql`
    update delivery.delivery set due_at = now(), wake_at = now()
     where status = 'scheduled' and due_at > now() + interval '10 minutes'`;
}

/** A few notifications of three other clinics, really mailed. */
function startOthers({ dispatcherUrl: url }: Deployment): SteadyLoad {
  return startSteadyLoad({
    ...{ url, perSecond: OTHERS_PER_SECOND },
    make: (index) => ({
      key: SERVICE_KEY,
      notification: {
        ...notification(index, "email", `other-${index}`),
        clinic: OTHER_CLINICS[index % OTHER_CLINICS.length],
      },
    }),
  });
}

/** The clinic whose flood it is has to tell patients that their appointment of today is off. */
function startUrgent({ dispatcherUrl: url }: Deployment): SteadyLoad {
  return startSteadyLoad({
    ...{ url, perSecond: 2 },
    make: (index) => ({
      key: TEST_KEY,
      notification: {
        ...notification(index, "email", `urgent-${index}`),
        template: "appointment-cancelled",
      },
    }),
  });
}

/** Withdraws some that wait. Returns the ids of those of which the Dispatcher said that they are. */
async function withdrawSome({ sql, dispatcherUrl }: Deployment): Promise<string[]> {
  const withdrawn: string[] = [];
  const waiting = await sql<{ id: string }[]>`
    select n.id
      from delivery.notification n join delivery.delivery d on d.notification_id = n.id
     where d.status = 'scheduled' order by n.id desc limit ${WITHDRAWN}`;
  for (const { id } of waiting) {
    const url = `${dispatcherUrl}/v1/notifications/${id}/cancel`;
    if ((await post(url, { key: TEST_KEY, body: "" })).status === 200) withdrawn.push(id);
    await sleep(WITHDRAW_EVERY_MS);
  }
  return withdrawn;
}

async function listSent(sql: postgres.Sql, ids: readonly string[]): Promise<string[]> {
  const sent = await sql<{ notificationId: string }[]>`
    select notification_id from delivery.delivery
     where notification_id = any(${ids as string[]}::uuid[]) and attempt > 0`;
  return sent.map(({ notificationId }) => notificationId);
}

async function untilFloodDrained({ sql }: Deployment): Promise<void> {
  await eventually("the flood has drained", async () => {
    const [{ open }] = await sql<[{ open: number }]>`
      select count(*)::int as open
        from delivery.delivery
       where sender_id = 'test:email' and status in ('scheduled', 'queued', 'sending', 'unknown')`;
    return open < FLOOD_OVER;
  }, { timeoutMs: DRAIN_MS });
}

/** Of the messages whose reference is `like`: how long it took from when they were due until they first were `status`. */
async function p99Seconds(
  sql: postgres.Sql,
  like: string,
  status: "sending" | "sent",
): Promise<number> {
  const [{ p99 }] = await sql<[{ p99: number }]>`
    select percentile_disc(0.99) within group (order by extract(epoch from first.at - n.send_at))::float8 as p99
      from delivery.notification n
      join delivery.delivery d on d.notification_id = n.id
     cross join lateral (
       select min(at) as at from delivery.delivery_event
        where delivery_id = d.id and kind = 'status' and status = ${status}
     ) first
     where n.reference like ${like}`;
  return p99;
}

function union(
  loads: readonly { requested: ReadonlySet<string>; accepted: ReadonlySet<string> }[],
) {
  return {
    requested: new Set(loads.flatMap(({ requested }) => [...requested])),
    accepted: new Set(loads.flatMap(({ accepted }) => [...accepted])),
  };
}

type Watched = { stop: () => Promise<{ memory: Record<string, number>; queue: number }> };

/** Watches the processes' memory and the queue's length. */
async function watchAll(deployment: Deployment): Promise<Watched> {
  const log = createLog("test", { level: "error" });
  const queue = await connectRabbitMq(brokerUrl() ?? "", { name: "test", log });
  after(() => queue.close());
  let longest = 0;
  const watch = watchProcesses(deployment, async () => {
    longest = Math.max(longest, await queue.ready("email") ?? 0);
  });
  return { stop: async () => ({ memory: await watch.stop(), queue: longest }) };
}

async function assertWithin(
  t: TestContext,
  deployment: Deployment,
  { asked, watch, measured }: {
    asked: { requested: ReadonlySet<string>; accepted: ReadonlySet<string> };
    watch: Watched;
    measured: Record<string, number | string>;
  },
): Promise<void> {
  const { memory, queue } = await watch.stop();
  const held = Object.entries(memory).map(([name, most]) => [`${name} MiB`, most]);
  await assertNoneLostNoneDoubled(t, deployment, {
    asked,
    measured: { ...measured, "longest queue": queue, ...Object.fromEntries(held) },
  });
  assert.ok(queue < QUEUE_MAX, `the queue had ${queue} hints`);
  for (const [name, most] of Object.entries(memory)) {
    assert.ok(most < RESIDENT_MAX_MIB, `${name} held ${most} MiB`);
  }
}
