import assert from "node:assert/strict";
import { performance } from "node:perf_hooks";
import { after, type TestContext } from "node:test";
import type postgres from "postgres";
import type { Channel } from "../../src/shared/domain/delivery.ts";
import { check, type Verdict } from "./checker.ts";
import { CLINIC_KEY, type Deployment } from "./deployment.ts";
import { eventually } from "./eventually.ts";

const DAY_MS = 86_400_000;
const PATIENCE_MS = 90_000;

export type LoadOptions = {
  /** Begins every reference: no two loads of a deployment have the same, nor does one begin another. */
  name: string;
  channels?: readonly Channel[];
  perSecond?: number;
};

/** Notifications that somebody asks for, each with one delivery, the channels in turn. */
export type Load = {
  name: string;
  requested: ReadonlySet<string>;
  accepted: ReadonlySet<string>;
  /** Milliseconds until its 202, of the one that waited longest. */
  slowestMs: () => number;
  /** Waits until the load flows: some of it has arrived. */
  untilSomeArrive: (deployment: Deployment) => Promise<void>;
  /** Asks for so many more at once. */
  burst: (count: number) => Promise<void>;
  /** Asks for no more, and waits for the answers under way. */
  stop: () => Promise<void>;
};

/** Asks for notifications at a steady rate, whatever becomes of those before. Nothing is asked for twice. */
export function startLoad(
  { dispatcherUrl }: Pick<Deployment, "dispatcherUrl">,
  { name, channels = ["email", "sms"], perSecond = 50 }: LoadOptions,
): Load {
  const requested = new Set<string>();
  const accepted = new Set<string>();
  const underWay = new Set<Promise<void>>();
  let slowestMs = 0;

  async function submit(): Promise<void> {
    const index = requested.size;
    const reference = `${name}-${index}`;
    requested.add(reference);
    const startedAt = performance.now();
    const body = notification(index, channels[index % channels.length] as Channel, reference);
    const status = await post(`${dispatcherUrl}/v1/notifications`, body);
    if (status === 202) accepted.add(reference);
    slowestMs = Math.max(slowestMs, performance.now() - startedAt);
  }

  function start(): void {
    const work = submit().finally(() => underWay.delete(work));
    underWay.add(work);
  }

  const timer = setInterval(start, 1_000 / perSecond);
  after(() => clearInterval(timer));
  return {
    name,
    requested,
    accepted,
    slowestMs: () => slowestMs,
    untilSomeArrive: async ({ arrived }) => {
      const before = arrived().length;
      await eventually(`some of ${name} arrive`, () => arrived().length >= before + perSecond);
    },
    burst: async (count) => {
      await Promise.all(Array.from({ length: count }, submit));
    },
    stop: async () => {
      clearInterval(timer);
      await Promise.all(underWay);
    },
  };
}

async function post(url: string, body: unknown): Promise<number | null> {
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { authorization: `Bearer ${CLINIC_KEY}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    await response.body?.cancel();
    return response.status;
  } catch {
    return null; // Nobody knows whether it was accepted: the checker finds out
  }
}

export function notification(index: number, channel: Channel, reference: string) {
  const recipient = channel === "email"
    ? { email: `${reference}@patients.example.org` }
    : { phone: phoneNumber(index) };
  return {
    reference,
    template: "appointment-confirmation",
    recipient: { name: "Sam", locale: "en-GB", timeZone: "Europe/London", ...recipient },
    channels: [channel],
    appointment: {
      id: reference,
      version: "1",
      startsAt: new Date(Date.now() + 7 * DAY_MS).toISOString(),
      timeZone: "Europe/London",
    },
  };
}

/** Spanish, for there are enough of them, and clear of the sandbox's endings that behave oddly. */
function phoneNumber(index: number): string {
  return `+346${10_000 + Math.floor(index / 700)}${200 + index % 700}`;
}

type Waiting = { load: Pick<Load, "name">; withinMs?: number };

/** Seconds until all that is accepted by now has come to an end: it has arrived, or it has a reason. */
export async function secondsUntilDrained(
  { sql }: Deployment,
  { load, withinMs = PATIENCE_MS }: Waiting,
): Promise<number> {
  const open = sql`d.status in ('scheduled', 'queued', 'sending', 'unknown')`;
  return await secondsUntilNone(sql, { load, withinMs, are: open });
}

/** Seconds until a worker has had all that is accepted by now. What it makes of it is not the broker's affair. */
export async function secondsUntilLeased(
  { sql }: Deployment,
  { load, withinMs = PATIENCE_MS }: Waiting,
): Promise<number> {
  const untouched = sql`d.status in ('scheduled', 'queued') and d.attempt = 0`;
  return await secondsUntilNone(sql, { load, withinMs, are: untouched });
}

async function secondsUntilNone(
  sql: Deployment["sql"],
  { load, withinMs, are }: Required<Waiting> & { are: postgres.PendingQuery<postgres.Row[]> },
): Promise<number> {
  const startedAt = performance.now();
  const [{ now }] = await sql<[{ now: Date }]>`select now()`;
  let counts: { status: string; count: number }[] = [];
  try {
    await eventually("there are none", async () => {
      counts = await sql`
        select d.status, count(*)::int as count
          from delivery.delivery d join delivery.notification n on n.id = d.notification_id
         where n.reference like ${`${load.name}-%`} and n.created_at <= ${now} and ${are}
         group by d.status
      `;
      return counts.length === 0;
    }, { timeoutMs: withinMs });
  } catch (error) {
    const left = counts.map(({ status, count }) => `${count} ${status}`).join(", ");
    throw new Error(`Of ${load.name} there are still ${left}`, { cause: error });
  }
  return secondsSince(startedAt);
}

/** To a tenth. */
export function secondsSince(startedAt: number): number {
  return Math.round((performance.now() - startedAt) / 100) / 10;
}

/** What became of a load, once all of it has come to its end. */
export async function judge(
  { sql, arrived }: Deployment,
  load: Pick<Load, "name" | "requested" | "accepted">,
): Promise<Verdict> {
  const others = await sql<{ id: string }[]>`
    select d.id
      from delivery.delivery d join delivery.notification n on n.id = d.notification_id
     where n.reference not like ${`${load.name}-%`}
  `;
  const foreign = new Set(others.map(({ id }) => id));
  const own = arrived().filter((id) => !foreign.has(id));
  return await check({ sql, arrived: own, requested: load.requested, accepted: load.accepted });
}

/**
 * Prints what became of a load, with what else was measured, and asserts the promises: all of it was accepted, each
 * arrived once, and nothing else arrived.
 */
export async function assertEachOnce(
  t: TestContext,
  deployment: Deployment,
  { load, measured = {} }: { load: Load; measured?: Record<string, number | string> },
): Promise<void> {
  await load.stop();
  await secondsUntilDrained(deployment, { load });
  const verdict = await judge(deployment, load);
  const { requested, accepted, arrived, lost, duplicated, unexpected, recovered } = verdict;
  const counts = {
    requested,
    accepted,
    arrived,
    lost: lost.length,
    duplicated: Object.keys(duplicated).length,
    unexpected: unexpected.length,
    recovered: recovered.length,
    "slowest answer in ms": Math.round(load.slowestMs()),
    ...measured,
  };
  t.diagnostic(Object.entries(counts).map(([name, value]) => `${name} ${value}`).join(", "));
  assert.deepEqual({ lost, duplicated, unexpected, recovered }, {
    lost: [],
    duplicated: {},
    unexpected: [],
    recovered: [],
  });
  assert.equal(accepted, requested, "each got a 202, whatever the broker did");
  assert.equal(arrived, accepted, "each arrived");
}
