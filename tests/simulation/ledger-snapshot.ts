import type postgres from "postgres";
import type { Channel, DeliveryStatus, Mode, Reason } from "../../src/shared/domain/delivery.ts";

/** A row of the ledger. Times are microseconds since 1970; infinity is Infinity. */
export type DeliverySnapshot = {
  id: string;
  notificationId: string;
  reference: string;
  mode: Mode;
  channel: Channel;
  senderId: string;
  after: string | null;
  status: DeliveryStatus;
  reason: Reason | null;
  dueAt: number;
  expiresAt: number;
  wakeAt: number | null;
  hints: number;
  attempt: number;
  failures: number;
  enquiries: number;
  leaseUntil: number | null;
  providerId: string | null;
  senderPausedUntil: number | null;
};
export type Snapshot = ReadonlyMap<string, DeliverySnapshot>;

export const OPEN: readonly DeliveryStatus[] = ["scheduled", "queued", "sending", "unknown"];

export async function readSnapshot(sql: postgres.Sql): Promise<Snapshot> {
  const micros = (column: string) => sql`(extract(epoch from ${sql(column)}) * 1e6)::float8`;
  const rows = await sql<DeliverySnapshot[]>`
    select d.id, d.notification_id, n.reference, n.mode, d.channel, d.sender_id, d.after, d.status, d.reason,
           ${micros("d.due_at")} as due_at, ${micros("d.expires_at")} as expires_at,
           ${micros("d.wake_at")} as wake_at, d.hints, d.attempt, d.failures, d.enquiries,
           ${micros("d.lease_until")} as lease_until, d.provider_id,
           ${micros("s.paused_until")} as sender_paused_until
      from delivery.delivery d
      join delivery.notification n on n.id = d.notification_id
      join delivery.sender s on s.id = d.sender_id
     order by d.id`;
  return new Map(rows.map((row) => [row.id, row]));
}

/** When the relay next has something to do with a row; Infinity when never. */
export function nextWake(snapshot: Snapshot): number {
  const wakes = [...snapshot.values()].map(({ wakeAt, expiresAt, senderPausedUntil }) =>
    wakeAt === null ? Infinity : Math.max(wakeAt, Math.min(senderPausedUntil ?? 0, expiresAt))
  );
  return Math.min(Infinity, ...wakes);
}
