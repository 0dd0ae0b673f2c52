import { randomBytes } from "node:crypto";
import type postgres from "postgres";
import { CHANNELS } from "../../src/shared/domain/delivery.ts";
import type { Queue } from "../../src/shared/messaging/queue.ts";
import { bareConsume, bareInsert, barePublish, composed, perSecond } from "./bare-loops.ts";
import { startCollecting } from "./hints.ts";
import { notificationRequest, postAll } from "./load.ts";
import type { Comparison } from "./measure.ts";
import { copyRows, type DeliveryRow, settleAll } from "./rows.ts";
import { DISPATCHER_CONNECTIONS, TEST_KEY } from "./world.ts";

const BATCH = 100;
const BATCHES_AT_ONCE = 16;
const SINGLES_AT_ONCE = 64;
const BATCHED_COUNT = 8_000;
const SINGLE_COUNT = 4_000;

export const ACCEPT_LINE = 0.4;

type Parts = { sql: postgres.Sql; amqpUrl: string; queue: Queue; dispatcherUrl: string };

/** A notification counts when the client has its 202, its rows are committed and its hint is confirmed. */
export function createAcceptComparisons(parts: Parts, sample: DeliveryRow): Comparison[] {
  return [
    {
      name: "accepted, batches of 100",
      ours: () => acceptBatches(parts),
      bare: () => bareAccept(parts, copyRows(sample, { count: BATCHED_COUNT }), BATCH),
      line: ACCEPT_LINE,
    },
    {
      name: "accepted, single",
      ours: () => acceptSingles(parts),
      bare: () => bareAccept(parts, copyRows(sample, { count: SINGLE_COUNT }), 1),
    },
  ];
}

/** What the limit is made of: the same rows inserted, `batch` in a statement, and as many messages confirmed. */
async function bareAccept(
  { sql, amqpUrl }: Parts,
  rows: readonly DeliveryRow[],
  batch: number,
): Promise<number> {
  const inserted = await bareInsert(sql, rows, { batch, parallel: DISPATCHER_CONNECTIONS });
  await settleAll(sql);
  const queue = `bare.${randomBytes(4).toString("hex")}`;
  const bodies = rows.map(({ delivery }) => JSON.stringify({ deliveryId: delivery.id }));
  const published = await barePublish(amqpUrl, { queue, bodies });
  await bareConsume(amqpUrl, { queue, count: rows.length });
  return composed(inserted, published);
}

async function acceptBatches(parts: Parts): Promise<number> {
  const requests = makeRequests(BATCHED_COUNT);
  const bodies = Array.from(
    { length: BATCHED_COUNT / BATCH },
    (_, index) =>
      JSON.stringify({ notifications: requests.slice(index * BATCH, (index + 1) * BATCH) }),
  );
  return await accept(parts, {
    path: "/v1/notifications/batch",
    bodies,
    parallel: BATCHES_AT_ONCE,
    count: BATCHED_COUNT,
    read: (answer) =>
      (JSON.parse(answer) as { results: { notification?: Accepted }[] }).results
        .map(({ notification }) => notification),
  });
}

async function acceptSingles(parts: Parts): Promise<number> {
  return await accept(parts, {
    path: "/v1/notifications",
    bodies: makeRequests(SINGLE_COUNT).map((request) => JSON.stringify(request)),
    parallel: SINGLES_AT_ONCE,
    count: SINGLE_COUNT,
    read: (answer) => [JSON.parse(answer) as Accepted],
  });
}

type Accepted = { deliveries: { id: string }[] };
type Submission = {
  path: string;
  bodies: string[];
  parallel: number;
  count: number;
  read: (answer: string) => (Accepted | undefined)[];
};

function makeRequests(count: number) {
  const run = randomBytes(6).toString("hex");
  return Array.from({ length: count }, (_, index) => {
    const channel = CHANNELS[index % CHANNELS.length] ?? "email";
    return notificationRequest(index, { run, channel });
  });
}

async function accept(
  { sql, queue, dispatcherUrl }: Parts,
  { path, bodies, parallel, count, read }: Submission,
): Promise<number> {
  const collector = await startCollecting(queue);
  const startedAt = performance.now();
  const url = `${dispatcherUrl}${path}`;
  const answers = await postAll({ url, key: TEST_KEY, bodies, parallel });
  const accepted = answers.flatMap(read).flatMap((one) => one?.deliveries ?? []);
  const ids = new Set(accepted.map(({ id }) => id));
  if (ids.size !== count) throw new Error(`Wrong count: ${ids.size} of ${count} were accepted`);
  await collector.until(ids);
  const rate = perSecond(count, startedAt);
  await collector.stop();
  const settled = await settleAll(sql);
  if (settled !== count) throw new Error(`Wrong count: ${settled} rows for ${count} accepted`);
  return rate;
}
