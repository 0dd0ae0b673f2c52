import type {
  AcceptedNotification,
  NewDelivery,
  NewNotification,
} from "../shared/database/notifications.ts";
import type { QuietHours } from "../shared/domain/clinic.ts";
import { outsideQuietHours } from "../shared/domain/quiet-hours.ts";
import { parsePhoneNumber } from "../shared/delivery/phone-number.ts";
import type { Client } from "./clients.ts";
import type { NotificationRequest } from "./notification-request.ts";
import { type Circumstances, CONTACT, defaultExpiry, latest } from "./request-faults.ts";
import type { Fault } from "./problem.ts";

export type NotificationPlan = {
  notification: NewNotification;
  deliveries: NewDelivery[];
  /** What the client is told. */
  accepted: AcceptedNotification;
  /** Whether the first delivery is due at once. */
  dueNow: boolean;
};

type PlanOptions = Circumstances & {
  client: Client;
  sha256: string;
  /** The patient's own, which go before the clinic's. */
  preferredQuiet: QuietHours | null;
  createId: () => string;
};

/** Turns a request without faults into the rows that are its promise. */
export function planNotification(
  request: NotificationRequest,
  options: PlanOptions,
): NotificationPlan {
  const { client, clinic, templates, sha256, now, createId } = options;
  const { recipient, appointment } = request;
  const need = templates.get(request.template)?.appointment ?? "any";
  const quiet = options.preferredQuiet ?? clinic.quietHours;
  const zone = recipient.timeZone ?? appointment?.timeZone ?? clinic.timeZone;
  const expiresAt = request.expiresAt ?? defaultExpiry(request, { clinic, need, now });
  const dueAt = outsideQuietHours(latest(request.sendAt, now), { zone, quiet, expiresAt, now });
  const status = dueAt === null ? "suppressed" : "scheduled";

  const id = createId();
  const deliveries = planDeliveries(request, id, options);
  return {
    notification: {
      id,
      clientId: client.id,
      reference: request.reference,
      requestSha256: sha256,
      clinicId: clinic.id,
      mode: client.type,
      template: request.template,
      strategy: request.strategy,
      patientId: recipient.patientId ?? null,
      recipient: contacts(recipient, clinic.country),
      data: request.data,
      locale: recipient.locale ?? null,
      timeZone: zone,
      appointmentId: appointment?.id ?? null,
      appointmentVersion: appointment?.version ?? null,
      appointmentNeed: need,
      startsAt: appointment?.startsAt ?? null,
      appointmentZone: appointment?.timeZone ?? null,
      maxDataAge: request.maxDataAge ?? null,
      quietFrom: quiet?.from ?? null,
      quietUntil: quiet?.until ?? null,
      sendAt: request.sendAt ?? null,
      // Null lets the database's clock say when: ours may be a little ahead
      dueAt: dueAt !== null && dueAt <= now ? null : dueAt,
      expiresAt,
      suppressed: dueAt === null,
    },
    deliveries,
    accepted: {
      id,
      reference: request.reference,
      status,
      deliveries: deliveries.map(({ id, channel }) => ({ id, channel, status })),
    },
    dueNow: dueAt !== null && dueAt <= now,
  };
}

function planDeliveries(
  { channels, strategy }: NotificationRequest,
  notificationId: string,
  { client, clinic, createId }: PlanOptions,
): NewDelivery[] {
  let previous: string | null = null;
  return channels.map((channel) => {
    const id = createId();
    const after = strategy === "first-success" ? previous : null;
    previous = id;
    const owner = client.type === "test" ? "test" : clinic.id;
    return { id, notificationId, channel, senderId: `${owner}:${channel}`, after };
  });
}

function contacts({ name, email, phone }: NotificationRequest["recipient"], country: string) {
  return {
    ...name !== undefined && { name },
    ...email !== undefined && { email },
    ...phone !== undefined && { phone: parsePhoneNumber(phone, country)?.e164 ?? phone },
  };
}

/** A team client reaches only whom its list names: an address we would look up could be anybody's. */
export function findForeignRecipients(
  { channels, recipient }: NotificationRequest,
  { client, clinic }: Pick<PlanOptions, "client" | "clinic">,
): Fault[] {
  if (client.type !== "team") return [];
  return channels.flatMap((channel) => {
    const contact = CONTACT[channel];
    const given = recipient[contact] ?? "";
    const address = channel === "sms"
      ? parsePhoneNumber(given, clinic.country)?.e164 ?? ""
      : given.toLowerCase();
    if (client.allow.has(address)) return [];
    const message = "expected one of the recipients this key may reach";
    return [{ pointer: `/recipient/${contact}`, code: "recipient_not_allowed", message }];
  });
}
