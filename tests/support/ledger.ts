import { randomBytes } from "node:crypto";
import { v7 } from "uuid";
import type { Db } from "../../src/shared/database/connect.ts";
import type {
  AppointmentNeed,
  Channel,
  DeliveryStatus,
  Mode,
  Reason,
  Strategy,
} from "../../src/shared/domain/delivery.ts";

const MINUTE_MS = 60_000;

export type NotificationRow = {
  id: string;
  clientId: string;
  reference: string;
  clinicId: string;
  mode: Mode;
  template: string;
  strategy: Strategy;
  patientId: string | null;
  recipient: { name?: string; email?: string; phone?: string } | null;
  data: Record<string, unknown> | null;
  locale: string | null;
  timeZone: string;
  appointmentId: string | null;
  appointmentVersion: string | null;
  appointmentNeed: AppointmentNeed;
  startsAt: Date | null;
  appointmentZone: string | null;
  maxDataAge: string | null;
  quietFrom: string | null;
  quietUntil: string | null;
  sendAt: Date;
  expiresAt: Date;
  createdAt: Date;
};

export type DeliveryRow = {
  id: string;
  notificationId: string;
  channel: Channel;
  senderId: string;
  after: string | null;
  status: DeliveryStatus;
  reason: Reason | null;
  /** Null while it waits for another delivery: infinity in the database. */
  dueAt: Date | null;
  expiresAt: Date;
  wakeAt: Date | null;
  hints: number;
  hintedAt: Date | null;
  attempt: number;
  failures: number;
  enquiries: number;
  attemptedAt: Date | null;
  leaseUntil: Date | null;
  providerId: string | null;
  providerCode: string | null;
};

export type PatientRow = {
  id: string;
  givenName: string | null;
  email: string | null;
  phone: string | null;
  locale: string | null;
  active: boolean;
  deceased: boolean;
  mergedInto: string | null;
};

export type AppointmentRow = {
  id: string;
  clinicId: string;
  patientId: string;
  status: string;
  startsAt: Date | null;
  timeZone: string;
  sequence: number;
  version: string | null;
  changedAt: Date;
};

export function uniqueId(kind: string): string {
  return `${kind}-${randomBytes(6).toString("hex")}`;
}

export function minutesFromNow(minutes: number): Date {
  return new Date(Date.now() + minutes * MINUTE_MS);
}

/** A notification of a clinic of its own, that reaches its recipient by either channel, and is useful for an hour. */
export async function insertNotification(
  db: Db,
  fields: Partial<NotificationRow> = {},
): Promise<NotificationRow> {
  const row: NotificationRow = {
    id: v7(),
    clientId: "test-client",
    reference: uniqueId("reference"),
    clinicId: uniqueId("clinic"),
    mode: "live",
    template: "appointment-reminder",
    strategy: "all",
    patientId: null,
    recipient: { name: "Ana", email: "ana@example.test", phone: "+34600111222" },
    data: {},
    locale: "en-GB",
    timeZone: "Europe/London",
    appointmentId: null,
    appointmentVersion: null,
    appointmentNeed: "any",
    startsAt: null,
    appointmentZone: null,
    maxDataAge: null,
    quietFrom: null,
    quietUntil: null,
    sendAt: minutesFromNow(-1),
    expiresAt: minutesFromNow(60),
    createdAt: minutesFromNow(-1),
    ...fields,
  };
  await db`
    insert into delivery.notification ${
    db({
      ...row,
      recipient: row.recipient && db.json(row.recipient),
      data: row.data && db.json(row.data as never),
      requestSha256: randomBytes(32),
    } as never)
  }`;
  return row;
}

/**
 * A delivery that is due, of a notification of its own unless `notificationId` says whose. Returns its id.
 *
 * `senderId` is the notification's clinic and the channel unless it is given.
 */
export async function insertDelivery(
  db: Db,
  { notification = {}, ...fields }: Partial<DeliveryRow> & {
    notification?: Partial<NotificationRow>;
  } = {},
): Promise<string> {
  const channel = fields.channel ?? "sms";
  const notificationId = fields.notificationId ?? (await insertNotification(db, notification)).id;
  const status = fields.status ?? "scheduled";
  const open = ["scheduled", "queued", "sending", "unknown"].includes(status);
  const waits = (fields.after ?? null) !== null && fields.dueAt === undefined;
  const dueAt = waits ? null : fields.dueAt ?? minutesFromNow(-1);

  const [owner] = await db<{ clinicId: string; expiresAt: Date }[]>`
    select clinic_id, expires_at from delivery.notification where id = ${notificationId}`;
  if (owner === undefined) {
    throw new Error(`Cannot insert a delivery: no notification ${notificationId}`);
  }
  const senderId = fields.senderId ?? `${owner.clinicId}:${channel}`;
  await db`insert into delivery.sender (id) values (${senderId}) on conflict do nothing`;

  const row = {
    id: v7(),
    expiresAt: owner.expiresAt,
    wakeAt: open ? dueAt ?? owner.expiresAt : null,
    ...fields,
    notificationId,
    channel,
    senderId,
    status,
    dueAt: dueAt ?? db`'infinity'::timestamptz`,
  };
  await db`insert into delivery.delivery ${db(row as never)}`;
  return row.id;
}

/** A patient who can be reached by either channel. */
export async function insertPatient(
  db: Db,
  fields: Partial<PatientRow> = {},
): Promise<PatientRow> {
  const row: PatientRow = {
    id: uniqueId("patient"),
    givenName: "Ben",
    email: "ben@example.test",
    phone: "+447700900123",
    locale: "en-GB",
    active: true,
    deceased: false,
    mergedInto: null,
    ...fields,
  };
  await db`insert into clinic.patient ${db(row)}`;
  return row;
}

/** A booked appointment of tomorrow. */
export async function insertAppointment(
  db: Db,
  fields: Partial<AppointmentRow> = {},
): Promise<AppointmentRow> {
  const row: AppointmentRow = {
    id: uniqueId("appointment"),
    clinicId: uniqueId("clinic"),
    patientId: uniqueId("patient"),
    status: "booked",
    startsAt: minutesFromNow(24 * 60),
    timeZone: "Europe/London",
    sequence: 0,
    version: "1",
    changedAt: minutesFromNow(-60),
    ...fields,
  };
  await db`insert into clinic.appointment ${db(row)}`;
  return row;
}

export async function readDelivery(db: Db, id: string): Promise<DeliveryRow> {
  const [row] = await db<DeliveryRow[]>`select * from delivery.delivery where id = ${id}`;
  if (row === undefined) throw new Error(`Cannot read the delivery ${id}: it does not exist`);
  return { ...row, dueAt: Number.isNaN(row.dueAt?.getTime()) ? null : row.dueAt };
}

/** What happened to a delivery, in order: "sending", "suppressed opted_out". */
export async function readHistory(db: Db, id: string): Promise<string[]> {
  const events = await db<{ status: string; reason: string | null }[]>`
    select status, reason from delivery.delivery_event where delivery_id = ${id} order by id`;
  return events.map(({ status, reason }) => reason === null ? status : `${status} ${reason}`);
}
