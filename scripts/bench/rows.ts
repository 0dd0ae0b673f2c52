import type postgres from "postgres";
import { v7 as uuidv7 } from "uuid";
import { type Channel, CHANNELS } from "../../src/shared/domain/delivery.ts";
import type { Queue } from "../../src/shared/messaging/queue.ts";
import { collectHints } from "./hints.ts";
import { notificationRequest, postAll } from "./load.ts";
import { TEST_KEY } from "./world.ts";

/** A notification and its one delivery, by the names of their columns. */
export type DeliveryRow = {
  notification: Record<string, unknown> & { id: string };
  delivery: Record<string, unknown> & { id: string };
};

/** What the dispatcher stores for each channel: the bare loops store the same columns, of the same sizes. */
export async function acceptSamples(
  { sql, queue, dispatcherUrl }: { sql: postgres.Sql; queue: Queue; dispatcherUrl: string },
): Promise<Record<Channel, DeliveryRow>> {
  const requests = CHANNELS.map((channel, index) =>
    notificationRequest(index, { run: "sample", channel })
  );
  await postAll({
    url: `${dispatcherUrl}/v1/notifications`,
    key: TEST_KEY,
    bodies: requests.map((request) => JSON.stringify(request)),
    parallel: 1,
  });
  const rows = await sql<DeliveryRow[]>`
    select to_jsonb(n) as notification, to_jsonb(d) as delivery
      from delivery.delivery d join delivery.notification n on n.id = d.notification_id
  `;
  await collectHints(queue, new Set(rows.map(({ delivery: { id } }) => id)));
  await settleAll(sql);
  const entries = CHANNELS.map((channel) => [
    channel,
    rows.find(({ delivery }) => delivery.channel === channel),
  ]);
  return Object.fromEntries(entries) as Record<Channel, DeliveryRow>;
}

export type CopyOptions = {
  count: number;
  /** Other values for some columns. */
  notification?: Record<string, unknown>;
  delivery?: Record<string, unknown>;
};

/** The same row again and again, with ids and a reference of its own. */
export function copyRows(
  sample: DeliveryRow,
  { count, notification = {}, delivery = {} }: CopyOptions,
): DeliveryRow[] {
  return Array.from({ length: count }, () => {
    const id = uuidv7();
    return {
      notification: { ...sample.notification, reference: `copy-${id}`, ...notification, id },
      delivery: { ...sample.delivery, ...delivery, id: uuidv7(), notification_id: id },
    };
  });
}

export async function insertRows(
  sql: postgres.Sql,
  rows: readonly DeliveryRow[],
): Promise<void> {
  await sql`
    with stored as (
      insert into delivery.notification
      select * from jsonb_populate_recordset(null::delivery.notification, ${
    sql.json(rows.map(({ notification }) => notification) as never)
  })
    )
    insert into delivery.delivery
    select * from jsonb_populate_recordset(null::delivery.delivery, ${
    sql.json(rows.map(({ delivery }) => delivery) as never)
  })
  `;
}

/** Ends all that is open, so that nobody looks at it again. Returns how many rows. */
export async function settleAll(sql: postgres.Sql): Promise<number> {
  const { count } = await sql`
    update delivery.delivery
       set status = 'sent', wake_at = null, updated_at = now()
     where wake_at is not null
  `;
  return count;
}
