/**
 * The limits the bench divides by: the shortest code that does the same work on the same servers, and nothing else.
 * Each returns how many a second it did.
 */
import { AMQPClient } from "@cloudamqp/amqp-client";
import type postgres from "postgres";
import { type DeliveryRow, insertRows } from "./rows.ts";

/** More unconfirmed messages, or more unacked ones, bring no more. */
const WINDOW = 200;
const PREFETCH = 300;
const ACK_EVERY = 30;
const FRAME_BYTES_MAX = 8192;
const PERSISTENT = 2;

export function perSecond(count: number, startedAt: number): number {
  return count / ((performance.now() - startedAt) / 1000);
}

/** The rate of doing several things one after another on the same machine. */
export function composed(...rates: number[]): number {
  return 1 / rates.reduce((sum, rate) => sum + 1 / rate, 0);
}

async function openChannel(url: string) {
  const address = new URL(url);
  address.searchParams.set("frameMax", String(FRAME_BYTES_MAX));
  const connection = await new AMQPClient(address.href).connect();
  return { connection, channel: await connection.channel() };
}

/** Publishes persistent messages to a quorum queue, each confirmed, `WINDOW` in flight. */
export async function barePublish(
  url: string,
  { queue, bodies }: { queue: string; bodies: readonly string[] },
): Promise<number> {
  const { connection, channel } = await openChannel(url);
  await channel.queueDeclare(queue, { durable: true }, { "x-queue-type": "quorum" });
  await channel.confirmSelect();
  const startedAt = performance.now();
  const left = bodies.values(); // Shared: each takes the next
  const publish = async () => {
    for (const body of left) {
      await channel.basicPublish("", queue, body, { deliveryMode: PERSISTENT }, true);
    }
  };
  await Promise.all(Array.from({ length: WINDOW }, publish));
  const rate = perSecond(bodies.length, startedAt);
  await connection.close();
  return rate;
}

/** Consumes `count` messages of `queue`, acks them in groups, then deletes it. */
export async function bareConsume(
  url: string,
  { queue, count }: { queue: string; count: number },
): Promise<number> {
  const { connection, channel } = await openChannel(url);
  await channel.basicQos(PREFETCH);
  const startedAt = performance.now();
  await new Promise<void>((resolve, reject) => {
    let consumed = 0;
    channel.basicConsume(queue, { noAck: false }, ({ deliveryTag }) => {
      consumed += 1;
      if (consumed % ACK_EVERY !== 0 && consumed !== count) return;
      const acked = channel.basicAck(deliveryTag, true);
      if (consumed === count) acked.then(resolve, reject);
    }).catch(reject);
  });
  const rate = perSecond(count, startedAt);
  await channel.queueDelete(queue);
  await connection.close();
  return rate;
}

type Batches = {
  /** Rows in one statement. */
  batch: number;
  /** Statements at once. */
  parallel: number;
};

async function inBatches<Item>(
  items: readonly Item[],
  { batch, parallel }: Batches,
  statement: (items: readonly Item[]) => Promise<unknown>,
): Promise<number> {
  const startedAt = performance.now();
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const from = next;
      next += batch;
      await statement(items.slice(from, from + batch));
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  return perSecond(items.length, startedAt);
}

export async function bareInsert(
  sql: postgres.Sql,
  rows: readonly DeliveryRow[],
  batches: Batches,
): Promise<number> {
  return await inBatches(rows, batches, (some) => insertRows(sql, some));
}

/** Sets what recording an outcome sets at least, in a table without triggers. */
export async function bareUpdate(
  sql: postgres.Sql,
  rows: readonly DeliveryRow[],
  batches: Batches,
): Promise<number> {
  await sql`create schema if not exists bare`;
  await sql`drop table if exists bare.delivery`;
  await sql`create table bare.delivery (like delivery.delivery including all)`;
  await sql`
    insert into bare.delivery
    select * from jsonb_populate_recordset(null::bare.delivery, ${
    sql.json(rows.map(({ delivery }) => delivery) as never)
  })`;
  await sql`analyze bare.delivery`;
  const ids = rows.map(({ delivery: { id } }) => id);
  return await inBatches(ids, batches, (some) =>
    sql`
      update bare.delivery
         set status = 'sent', provider_id = 'bare-' || id, attempt = 1, wake_at = null, updated_at = now()
       where id = any(${some as string[]}::uuid[])
    `);
}

/** Claims all due reminders, `batch` in a statement. */
export async function bareClaim(
  sql: postgres.Sql,
  { batch, count }: { batch: number; count: number },
): Promise<number> {
  const startedAt = performance.now();
  let claimed = 0;
  while (claimed < count) {
    const rows = await sql`
      update clinic.reminder
         set status = 'claimed', claimed_until = now() + interval '1 minute', updated_at = now()
       where id in (
         select id from clinic.reminder
          where status in ('planned', 'claimed') and due_at <= now()
            and (claimed_until is null or claimed_until <= now())
          order by due_at
          limit ${batch}
            for update skip locked)
      returning id, appointment_id, sequence, stage, due_at, expires_at
    `;
    claimed += rows.length;
    if (rows.length === 0) throw new Error(`Wrong count: ${claimed} of ${count} reminders claimed`);
  }
  return perSecond(count, startedAt);
}
