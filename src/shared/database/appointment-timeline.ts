import type { AppointmentStatus } from "../domain/appointment.ts";
import type { Channel, DeliveryStatus, Mode, NotificationStatus } from "../domain/delivery.ts";
import type { Db } from "./connect.ts";

export type TimelineAppointment = {
  id: string;
  clinicId: string;
  patientId: string;
  status: AppointmentStatus;
  startsAt: Date | null;
  timeZone: string;
  confirmed: boolean;
  sequence: number;
  version: string | null;
  changedAt: Date;
  /** When the clinic's system was last asked about it. */
  syncedAt: Date;
  /** Whether the reminders are those of what the row now says. */
  planned: boolean;
};

export type TimelineReminder = {
  sequence: number;
  stage: string;
  status: string;
  reason: string | null;
  dueAt: Date;
  expiresAt: Date;
  notificationId: string | null;
  updatedAt: Date;
};

export type TimelineNotification = {
  id: string;
  clientId: string;
  reference: string;
  mode: Mode;
  template: string;
  status: NotificationStatus;
  createdAt: Date;
  sendAt: Date;
  expiresAt: Date;
};

export type TimelineDelivery = {
  id: string;
  notificationId: string;
  channel: Channel;
  status: DeliveryStatus;
  reason: string | null;
  /** Null while it waits for another to fail. */
  dueAt: Date | null;
  attempt: number;
  providerCode: string | null;
  updatedAt: Date;
};

export type TimelineEvent = {
  deliveryId: string;
  at: Date;
  kind: "status" | "receipt";
  status: string;
  reason: string | null;
  attempt: number | null;
  providerCode: string | null;
};

export async function findTimelineAppointment(
  db: Db,
  id: string,
): Promise<TimelineAppointment | null> {
  const [row] = await db<TimelineAppointment[]>`
    select id, clinic_id, patient_id, status, starts_at, time_zone, confirmed, sequence, version, changed_at, synced_at,
           planned
      from clinic.appointment
     where id = ${id}
  `;
  return row ?? null;
}

/** The latest `limit` reminders of every time the appointment has had, oldest first. */
export async function listTimelineReminders(
  db: Db,
  { appointmentId, limit }: { appointmentId: string; limit: number },
): Promise<TimelineReminder[]> {
  return await db<TimelineReminder[]>`
    select * from (
      select sequence, stage, status, reason, due_at, expires_at, notification_id, updated_at
        from clinic.reminder
       where appointment_id = ${appointmentId}
       order by sequence desc, due_at desc
       limit ${limit}
    ) latest
    order by sequence, due_at
  `;
}

/** The latest `limit` notifications about the appointment, whoever asked for them, oldest first. */
export async function listTimelineNotifications(
  db: Db,
  { appointmentId, clinicId, limit }: { appointmentId: string; clinicId: string; limit: number },
): Promise<TimelineNotification[]> {
  return await db<TimelineNotification[]>`
    select n.id, n.client_id, n.reference, n.mode, n.template, n.created_at, n.send_at, n.expires_at,
           delivery.notification_status(array(select status from delivery.delivery where notification_id = n.id)) as status
      from (
        select *
          from delivery.notification
         where appointment_id = ${appointmentId} and clinic_id = ${clinicId}
         order by id desc
         limit ${limit}
      ) n
     order by n.id
  `;
}

export async function listTimelineDeliveries(
  db: Db,
  notificationIds: readonly string[],
): Promise<TimelineDelivery[]> {
  return await db<TimelineDelivery[]>`
    select id, notification_id, channel, status, reason, nullif(due_at, 'infinity') as due_at, attempt, provider_code,
           updated_at
      from delivery.delivery
     where notification_id = any(${notificationIds as string[]}::uuid[])
     order by id
  `;
}

/** The latest `perDelivery` events of each delivery, oldest first. */
export async function listTimelineEvents(
  db: Db,
  { deliveryIds, perDelivery }: { deliveryIds: readonly string[]; perDelivery: number },
): Promise<TimelineEvent[]> {
  return await db<TimelineEvent[]>`
    select e.delivery_id, e.at, e.kind, e.status, e.reason, e.attempt, e.provider_code
      from unnest(${deliveryIds as string[]}::uuid[]) as d(id)
     cross join lateral (
       select *
         from delivery.delivery_event
        where delivery_id = d.id
        order by id desc
        limit ${perDelivery}
     ) e
     order by e.id
  `;
}
