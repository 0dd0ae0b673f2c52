import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type postgres from "postgres";
import { connectDatabase } from "../../src/shared/database/connect.ts";
import type { Provider } from "../../src/shared/delivery/provider.ts";
import { startWorker } from "../../src/shared/delivery/start-worker.ts";
import type { Clinic } from "../../src/shared/domain/clinic.ts";
import type { Channel } from "../../src/shared/domain/delivery.ts";
import { connectRabbitMq } from "../../src/shared/messaging/rabbitmq-queue.ts";
import type { Queue } from "../../src/shared/messaging/queue.ts";
import { createLog } from "../../src/shared/runtime/log.ts";
import type { Templates } from "../../src/shared/templates/templates.ts";
import { bareConsume, barePublish, bareUpdate, composed, perSecond } from "./bare-loops.ts";
import { publishHints } from "./hints.ts";
import type { Comparison } from "./measure.ts";
import { copyRows, type DeliveryRow, insertRows } from "./rows.ts";

// As the workers' main.ts
const PREFETCH = 100;
const CONNECTIONS = 4;

const COUNT = 5_000;
const BATCH = 100;
const INSERT_BATCH = 500;
const POLL_MS = 5;
const DRAIN_WAIT_MS = 60_000;

export const DRAIN_LINE = 0.4;

export type DrainParts = {
  sql: postgres.Sql;
  databaseUrl: string;
  amqpUrl: string;
  queue: Queue;
  clinics: ReadonlyMap<string, Clinic>;
  templates: Templates;
  samples: Record<Channel, DeliveryRow>;
};

/** A provider that says yes at once, as `calls` counts. */
function createInstantProvider(calls: Map<string, number>): Provider {
  return {
    send: async ({ delivery: { id } }) => {
      calls.set(id, (calls.get(id) ?? 0) + 1);
      return { kind: "sent", providerId: `bench-${id}` };
    },
    enquire: async () => ({ kind: "unanswerable" }),
  };
}

export function createDrainComparison(parts: DrainParts, channel: Channel): Comparison {
  return {
    name: `delivered, ${channel} worker`,
    ours: async () => {
      const calls = new Map<string, number>();
      const provider = createInstantProvider(calls);
      return await drain(parts, { channel, provider, count: COUNT, calls });
    },
    bare: () => bareDrain(parts, channel),
    line: DRAIN_LINE,
  };
}

/** What the limit is made of: as many messages consumed and acked, and as many rows updated. */
async function bareDrain({ sql, amqpUrl, samples }: DrainParts, channel: Channel) {
  const rows = copyRows(samples[channel], { count: COUNT });
  const queue = `bare.${randomBytes(4).toString("hex")}`;
  const bodies = rows.map(({ delivery }) => JSON.stringify({ deliveryId: delivery.id }));
  await barePublish(amqpUrl, { queue, bodies });
  const consumed = await bareConsume(amqpUrl, { queue, count: COUNT });
  const updated = await bareUpdate(sql, rows, { batch: BATCH, parallel: CONNECTIONS });
  return composed(consumed, updated);
}

export type Drain = {
  channel: Channel;
  provider: Provider;
  count: number;
  /** The calls that the provider had, by delivery. */
  calls: ReadonlyMap<string, number>;
};

/** The clock runs from the worker's start to the last recorded outcome. */
export async function drain(
  { sql, databaseUrl, amqpUrl, queue: publisher, clinics, templates, samples }: DrainParts,
  { channel, provider, count, calls }: Drain,
): Promise<number> {
  const ids = await fillQueue(sql, publisher, { channel, count, sample: samples[channel] });
  const log = createLog("bench", { level: "error" });
  const pool = connectDatabase(databaseUrl, { name: "bench", maxConnections: CONNECTIONS });
  await pool`select 1`;
  const queue = await connectRabbitMq(amqpUrl, { name: "bench", log });
  const startedAt = performance.now();
  const worker = await startWorker(channel, {
    ...{ sql: pool, queue, clinics, templates, log },
    ...{ prefetch: PREFETCH, provider },
  });
  await untilSettled(sql);
  const rate = perSecond(count, startedAt);
  await worker.stop();
  await queue.close();
  await pool.end();
  await verify(sql, ids, calls);
  return rate;
}

async function fillQueue(
  sql: postgres.Sql,
  queue: Queue,
  { channel, count, sample }: { channel: Channel; count: number; sample: DeliveryRow },
): Promise<string[]> {
  const senderId = `bench:${channel}`;
  await sql`insert into delivery.sender (id) values (${senderId}) on conflict do nothing`;
  const rows = copyRows(sample, {
    count,
    notification: { mode: "live" },
    delivery: { sender_id: senderId, wake_at: new Date(Date.now() + DRAIN_WAIT_MS) },
  });
  for (let from = 0; from < count; from += INSERT_BATCH) {
    await insertRows(sql, rows.slice(from, from + INSERT_BATCH));
  }
  const ids = rows.map(({ delivery: { id } }) => id);
  await publishHints(queue, channel, ids);
  return ids;
}

/** Waits until no delivery is open. */
export async function untilSettled(sql: postgres.Sql): Promise<void> {
  const deadline = performance.now() + DRAIN_WAIT_MS;
  while (performance.now() < deadline) {
    // In the order of the index of what is open: it must not read the whole table
    const open = await sql`
      select from delivery.delivery where wake_at is not null order by sender_id, wake_at limit 1`;
    if (open.length === 0) return;
    await sleep(POLL_MS);
  }
  throw new Error(`Wrong count: some deliveries are still open after ${DRAIN_WAIT_MS} ms`);
}

async function verify(
  sql: postgres.Sql,
  ids: readonly string[],
  calls: ReadonlyMap<string, number>,
): Promise<void> {
  const [sent] = await sql`
    select count(*)::int as count from delivery.delivery
     where id = any(${ids as string[]}::uuid[]) and status = 'sent' and attempt = 1`;
  if (sent?.count !== ids.length) {
    throw new Error(`Wrong count: ${sent?.count} of ${ids.length} are sent`);
  }
  const wrong = ids.filter((id) => calls.get(id) !== 1);
  if (wrong.length > 0 || calls.size !== ids.length) {
    throw new Error(`Wrong count: ${wrong.length} deliveries were lost or doubled`);
  }
}
