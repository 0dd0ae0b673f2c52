import type { Channel, DeliveryStatus, NotificationStatus, Reason } from "../domain/delivery.ts";
import type { SenderUnusable } from "../domain/outcome.ts";
import type { Db } from "./connect.ts";

/** Where a notification stands, without a name, an address or a text. */
export type NotificationState = {
  id: string;
  reference: string;
  clinicId: string;
  template: string;
  status: NotificationStatus;
  appointmentId: string | null;
  appointmentVersion: string | null;
  startsAt: Date | null;
  sendAt: Date;
  expiresAt: Date;
  createdAt: Date;
  deliveries: DeliveryState[];
};

export type DeliveryState = {
  id: string;
  channel: Channel;
  status: DeliveryStatus;
  reason: Reason | null;
  attempt: number;
  /** ISO 8601. Null while it waits for another delivery. */
  dueAt: string | null;
  providerCode: string | null;
  /** Why its sender cannot send, when that is what it waits for. */
  senderTrouble: SenderUnusable["reason"] | null;
};

export type DeliveryEvent = {
  deliveryId: string;
  channel: Channel;
  at: Date;
  kind: "status" | "receipt";
  status: string;
  reason: string | null;
  attempt: number | null;
  providerCode: string | null;
};

export type StateFilter = {
  /** Null: of every clinic. */
  clinicId: string | null;
  /** Together with the client's id, for a reference is only the client's own. */
  reference: { clientId: string; reference: string } | null;
  appointmentId: string | null;
  status: NotificationStatus | null;
  /** Only what is older than this notification. */
  before: string | null;
  limit: number;
};

/**
 * A status is derived, so looking for a rare one could read the whole history: a page looks at no more than this many
 * notifications, and may come back with few or none and a cursor that goes on.
 */
const EXAMINED_MAX = 1_000;

/** Lists notifications, newest first. `next` is the id to go on before; null at the end. */
export async function listNotificationStates(
  db: Db,
  filter: StateFilter,
): Promise<{ states: NotificationState[]; next: string | null }> {
  const { clinicId, reference, appointmentId, status, before, limit } = filter;
  const examined = status === null ? limit : EXAMINED_MAX;
  const rows = await db<(NotificationState & { lastId: string; examined: number })[]>`
    with page as (
      select *
        from delivery.notification
       where true
         ${clinicId === null ? db`` : db`and clinic_id = ${clinicId}`}
         ${
    reference === null
      ? db``
      : db`and client_id = ${reference.clientId} and reference = ${reference.reference}`
  }
         ${appointmentId === null ? db`` : db`and appointment_id = ${appointmentId}`}
         ${before === null ? db`` : db`and id < ${before}`}
       order by id desc
       limit ${examined}
    ), states as (
      select n.id, n.reference, n.clinic_id, n.template, n.appointment_id, n.appointment_version, n.starts_at,
             n.send_at, n.expires_at, n.created_at, d.status, d.deliveries
        from page n
       cross join lateral (${deliveriesOf(db)}) d
    ), matching as (
      select * from states ${
    status === null ? db`` : db`where status = ${status}`
  } order by id desc limit ${limit}
    )
    select m.*, p.last_id, p.examined
      from (select (array_agg(id order by id))[1] as last_id, count(*)::int as examined from page) p
      left join matching m on true
     order by m.id desc
  `;
  const [first] = rows;
  const states = rows.filter(({ id }) => id !== null).map(toState);
  // A full page ends at its last row; one that ran out of rows to examine, at the last it examined
  if (states.length === limit) return { states, next: states.at(-1)?.id ?? null };
  return { states, next: first?.examined === examined ? first.lastId : null };
}

/** Null when there is none of this id, or none that `clinicId` may see. */
export async function getNotificationState(
  db: Db,
  { id, clinicId }: { id: string; clinicId: string | null },
): Promise<NotificationState | null> {
  const [row] = await db<NotificationState[]>`
    select n.id, n.reference, n.clinic_id, n.template, n.appointment_id, n.appointment_version, n.starts_at,
           n.send_at, n.expires_at, n.created_at, d.status, d.deliveries
      from delivery.notification n
     cross join lateral (${deliveriesOf(db)}) d
     where n.id = ${id} ${clinicId === null ? db`` : db`and n.clinic_id = ${clinicId}`}
  `;
  return row === undefined ? null : toState(row);
}

/** What happened to a notification's deliveries, in order. */
export async function listDeliveryEvents(db: Db, notificationId: string): Promise<DeliveryEvent[]> {
  return await db<DeliveryEvent[]>`
    select e.delivery_id, d.channel, e.at, e.kind, e.status, e.reason, e.attempt, e.provider_code
      from delivery.delivery d
      join delivery.delivery_event e on e.delivery_id = d.id
     where d.notification_id = ${notificationId}
     order by e.at, e.id
  `;
}

function deliveriesOf(db: Db) {
  return db`
    select delivery.notification_status(array_agg(status order by id)) as status,
           jsonb_agg(jsonb_build_object(
             'id', id, 'channel', channel, 'status', status, 'reason', reason, 'attempt', attempt,
             'dueAt', nullif(due_at, 'infinity'), 'providerCode', provider_code,
             'senderTrouble', (select pause_reason from delivery.sender s
                                where s.id = sender_id and s.in_trouble
                                  and status in ('scheduled', 'queued', 'unknown'))) order by id) as deliveries
      from delivery.delivery
     where notification_id = n.id
  `;
}

function toState(row: NotificationState): NotificationState {
  const deliveries = row.deliveries.map((delivery) => ({
    ...delivery,
    dueAt: delivery.dueAt === null ? null : new Date(delivery.dueAt).toISOString(),
  }));
  return { ...row, deliveries };
}

/** How long the delivery that waits longest for a relay has been due; 0 when none is. A paused sender's do not count. */
export async function oldestDueSeconds(db: Db): Promise<number> {
  const [row] = await db<[{ seconds: number | null }]>`
    select extract(epoch from now() - min(oldest.wake_at))::float8 as seconds
      from delivery.sender s
     cross join lateral (
       select wake_at from delivery.delivery where sender_id = s.id and wake_at <= now() order by wake_at limit 1
     ) oldest
     where s.paused_until is null or s.paused_until <= now()
  `;
  return row.seconds ?? 0;
}
