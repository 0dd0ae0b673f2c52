import type { AppointmentNeed, Channel, Mode, Strategy } from "../domain/delivery.ts";
import type { Db } from "./connect.ts";

/** A row of delivery.notification to be. It holds personal data: never log it. */
export type NewNotification = {
  id: string;
  clientId: string;
  reference: string;
  /** Hexadecimal. */
  requestSha256: string;
  clinicId: string;
  mode: Mode;
  template: string;
  strategy: Strategy;
  patientId: string | null;
  recipient: { name?: string; email?: string; phone?: string };
  data: Record<string, unknown>;
  locale: string | null;
  timeZone: string;
  appointmentId: string | null;
  appointmentVersion: string | null;
  appointmentNeed: AppointmentNeed;
  startsAt: Date | null;
  appointmentZone: string | null;
  /** ISO 8601. */
  maxDataAge: string | null;
  quietFrom: string | null;
  quietUntil: string | null;
  /** Null: now. */
  sendAt: Date | null;
  /** When its first deliveries are due; null: now. */
  dueAt: Date | null;
  expiresAt: Date;
  /** No moment is left that is of use and outside the quiet hours. */
  suppressed: boolean;
};

export type NewDelivery = {
  id: string;
  notificationId: string;
  channel: Channel;
  senderId: string;
  after: string | null;
};

/** What a client is told when its notification is accepted, then and at each repeat. */
export type AcceptedNotification = {
  id: string;
  reference: string;
  status: "scheduled" | "suppressed";
  deliveries: { id: string; channel: Channel; status: "scheduled" | "suppressed" }[];
};

/** So long after it was accepted the relay gives the hint of a delivery that its own process was to hint. */
const OWN_HINT_SECONDS = 5;

/**
 * Stores notifications with their deliveries, in one statement: all of a notification, or nothing. Returns the ids of
 * those it stored; of the others the client has used the reference before. The caller hints the deliveries in `queued`,
 * which are due now; the relay hints the others in their time.
 *
 * References are inserted in order, so that two batches with the same ones do not wait for each other.
 */
export async function insertNotifications(
  db: Db,
  { notifications, deliveries, queued = [] }: {
    notifications: readonly NewNotification[];
    deliveries: readonly NewDelivery[];
    queued?: readonly string[];
  },
): Promise<ReadonlySet<string>> {
  if (notifications.length === 0) return new Set();
  const rows = await db<{ id: string }[]>`
    with incoming as materialized (
      select *
        from jsonb_to_recordset(${db.json(notifications as never)}) as n(
               id uuid, "clientId" text, reference text, "requestSha256" text, "clinicId" text, mode text,
               template text, strategy text, "patientId" text, recipient jsonb, data jsonb, locale text,
               "timeZone" text, "appointmentId" text, "appointmentVersion" text, "appointmentNeed" text,
               "startsAt" timestamptz, "appointmentZone" text, "maxDataAge" interval, "quietFrom" time,
               "quietUntil" time, "sendAt" timestamptz, "dueAt" timestamptz, "expiresAt" timestamptz,
               suppressed boolean)
    ), accepted as (
      insert into delivery.notification (
        id, client_id, reference, request_sha256, clinic_id, mode, template, strategy, patient_id, recipient, data,
        locale, time_zone, appointment_id, appointment_version, appointment_need, starts_at, appointment_zone,
        max_data_age, quiet_from, quiet_until, send_at, expires_at)
      select id, "clientId", reference, decode("requestSha256", 'hex'), "clinicId", mode, template, strategy,
             "patientId", recipient, data, locale, "timeZone", "appointmentId", "appointmentVersion",
             "appointmentNeed", "startsAt", "appointmentZone", "maxDataAge", "quietFrom", "quietUntil",
             coalesce("sendAt", now()), "expiresAt"
        from incoming
       order by "clientId", reference
      on conflict (client_id, reference) do nothing
      returning id
    ), planned as (
      select d.*, i.suppressed, i."expiresAt", d.id = any(${queued as string[]}::uuid[]) as queued,
             case when d.after is null or i.suppressed then coalesce(i."dueAt", now()) else 'infinity' end as due_at
        from accepted
        join incoming i using (id)
        join jsonb_to_recordset(${db.json(deliveries as never)}) as d(
               id uuid, "notificationId" uuid, channel text, "senderId" text, after uuid)
          on d."notificationId" = i.id
    ), stored as (
      insert into delivery.delivery (
        id, notification_id, channel, sender_id, after, status, reason, due_at, expires_at, hints, hinted_at, wake_at)
      select id, "notificationId", channel, "senderId", after,
             case when suppressed then 'suppressed' when queued then 'queued' else 'scheduled' end,
             case when suppressed then 'quiet_hours' end,
             due_at, "expiresAt", queued::int, case when queued then now() end,
             case when not suppressed
                  then least(due_at + make_interval(secs => case when queued then ${OWN_HINT_SECONDS} else 0 end),
                             "expiresAt") end
        from planned
      returning id, status, reason
    ), told as (
      insert into delivery.delivery_event (delivery_id, kind, status, reason)
      select id, 'status', status, reason from stored where status = 'suppressed'
    )
    select id from accepted
  `;
  return new Set(rows.map(({ id }) => id));
}

export type EarlierNotification = {
  clientId: string;
  /** Hexadecimal. */
  requestSha256: string;
  /** What the client was told then, whatever has become of it since. */
  accepted: AcceptedNotification;
};

/** Finds what was accepted under these references. */
export async function findEarlier(
  db: Db,
  references: readonly { clientId: string; reference: string }[],
): Promise<EarlierNotification[]> {
  if (references.length === 0) return [];
  const rows = await db<
    {
      id: string;
      clientId: string;
      reference: string;
      requestSha256: string;
      deliveries: { id: string; channel: Channel; status: "scheduled" | "suppressed" }[];
    }[]
  >`
    select n.id, n.client_id, n.reference, encode(n.request_sha256, 'hex') as request_sha256, d.deliveries
      from jsonb_to_recordset(${db.json(references as never)}) as r("clientId" text, reference text)
      join delivery.notification n on n.client_id = r."clientId" and n.reference = r.reference
     cross join lateral (
       select jsonb_agg(jsonb_build_object(
                'id', d.id, 'channel', d.channel,
                -- A delivery suppressed at the moment of acceptance has its event from that transaction
                'status', case when exists (
                    select from delivery.delivery_event e where e.delivery_id = d.id and e.at = n.created_at)
                  then 'suppressed' else 'scheduled' end) order by d.id) as deliveries
         from delivery.delivery d
        where d.notification_id = n.id
     ) d
  `;
  return rows.map(({ id, clientId, reference, requestSha256, deliveries }) => ({
    clientId,
    requestSha256,
    accepted: {
      id,
      reference,
      status: deliveries[0]?.status ?? "scheduled",
      deliveries: deliveries.map(({ id, channel, status }) => ({ id, channel, status })),
    },
  }));
}
