import { randomBytes } from "node:crypto";
import type postgres from "postgres";
import { CHANNELS } from "../../src/shared/domain/delivery.ts";
import { perSecond } from "./bare-loops.ts";
import { untilSettled } from "./drain.ts";
import { notificationRequest, postAll } from "./load.ts";
import type { Comparison } from "./measure.ts";
import { TEST_KEY } from "./world.ts";

const COUNT = 5_000;
const BATCH = 100;
const BATCHES_AT_ONCE = 8;

export const END_TO_END_LINE = 1_000;

/** From the first request to the last recorded outcome, through a dispatcher and one worker of each channel. */
export function createEndToEnd(
  { sql, dispatcherUrl }: { sql: postgres.Sql; dispatcherUrl: string },
): Comparison {
  return {
    name: "delivered, end to end",
    ours: () => deliverAll(sql, dispatcherUrl),
    line: END_TO_END_LINE,
  };
}

async function deliverAll(sql: postgres.Sql, dispatcherUrl: string): Promise<number> {
  const run = randomBytes(6).toString("hex");
  const bodies = Array.from({ length: COUNT / BATCH }, (_, batch) => {
    const notifications = Array.from({ length: BATCH }, (_, index) => {
      const channel = CHANNELS[index % CHANNELS.length] ?? "email";
      return notificationRequest(batch * BATCH + index, { run, channel });
    });
    return JSON.stringify({ notifications });
  });

  const startedAt = performance.now();
  const url = `${dispatcherUrl}/v1/notifications/batch`;
  await postAll({ url, key: TEST_KEY, bodies, parallel: BATCHES_AT_ONCE });
  await untilSettled(sql);
  const rate = perSecond(COUNT, startedAt);

  // One event for each call to the provider
  const [counted] = await sql`
    select count(*)::int as deliveries,
           count(*) filter (where d.status in ('sent', 'delivered'))::int as delivered,
           sum((select count(*) from delivery.delivery_event e
                 where e.delivery_id = d.id and e.kind = 'status' and e.status = 'sending'))::int as calls
      from delivery.delivery d join delivery.notification n on n.id = d.notification_id
     where n.client_id = 'bench' and n.reference like ${`${run}:%`}
  `;
  const { deliveries, delivered, calls } = counted ?? {};
  if (deliveries !== COUNT || delivered !== COUNT || calls !== COUNT) {
    throw new Error(
      `Wrong count: of ${COUNT} submitted ${deliveries} were stored and ${delivered} delivered, by ${calls} calls`,
    );
  }
  return rate;
}
