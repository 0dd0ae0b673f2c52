import type { Clinic } from "../shared/domain/clinic.ts";
import type { AppointmentNeed, Channel } from "../shared/domain/delivery.ts";
import { parsePhoneNumber } from "../shared/delivery/phone-number.ts";
import type { Templates } from "../shared/templates/templates.ts";
import type { NotificationRequest } from "./notification-request.ts";
import type { Fault } from "./problem.ts";

/** What a request is judged by, beside its own shape. */
export type Circumstances = {
  clinic: Clinic;
  templates: Templates;
  /** The zones that both this process and the database know. */
  timeZones: ReadonlySet<string>;
  /** Whether the patient of `patientId` has been imported. */
  patientKnown: boolean;
  now: Date;
};

const SEND_AHEAD_DAYS_MAX = 400;
const EXPIRE_AFTER_DAYS_MAX = 400;
const APPOINTMENT_AHEAD_DAYS_MAX = 3_660;
const DEFAULT_USE_HOURS = 24;

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

export const CONTACT = { email: "email", sms: "phone" } as const satisfies Record<Channel, string>;

/**
 * Finds all that is wrong with a request in itself well-formed. Parts may be missing when others were not: the rules
 * that need them are then passed over.
 */
export function findFaults(
  parts: Partial<NotificationRequest>,
  circumstances: Circumstances,
): Fault[] {
  return [
    ...templateFaults(parts, circumstances),
    ...channelFaults(parts, circumstances),
    ...phoneFaults(parts, circumstances),
    ...timeZoneFaults(parts, circumstances),
    ...timeFaults(parts, circumstances),
  ];
}

export function templateFaults(
  { template: id, data, appointment }: {
    template?: string | undefined;
    data?: Readonly<Record<string, unknown>> | undefined;
    appointment?: object | undefined;
  },
  { templates }: Pick<Circumstances, "templates">,
): Fault[] {
  if (id === undefined) return [];
  const template = templates.get(id);
  if (template === undefined) {
    return [{ pointer: "/template", code: "unknown_template", message: "there is no such one" }];
  }
  const faults = data === undefined
    ? []
    : templates.checkData(id, data).map((problem) => ({ ...problem, code: "invalid_data" }));
  if (template.appointment !== "any" && appointment === undefined) {
    faults.push({ pointer: "/appointment", code: "required", message: "the template needs it" });
  }
  return faults;
}

function channelFaults(
  { channels = [], template: id, recipient }: Partial<NotificationRequest>,
  { clinic, templates, patientKnown }: Circumstances,
): Fault[] {
  const template = id === undefined ? undefined : templates.get(id);
  return channels.flatMap((channel, index) => {
    const pointer = `/channels/${index}`;
    const faults: Fault[] = [];
    if (channels.indexOf(channel) < index) {
      faults.push({ pointer, code: "duplicate", message: "expected each channel once" });
    }
    if (template !== undefined && !template.channels.includes(channel)) {
      const message = "the template has no text for this channel";
      faults.push({ pointer, code: "channel_not_in_template", message });
    }
    if (clinic.senders[channel] === undefined) {
      const message = "the clinic has no sender for this channel";
      faults.push({ pointer, code: "channel_without_sender", message });
    }
    const contact = CONTACT[channel];
    if (recipient !== undefined && recipient[contact] === undefined && !patientKnown) {
      const message = `needed for the channel ${channel}: there is no known patient to ask`;
      faults.push({ pointer: `/recipient/${contact}`, code: "no_contact", message });
    }
    return faults;
  });
}

function phoneFaults(
  { recipient }: Partial<NotificationRequest>,
  { clinic }: Circumstances,
): Fault[] {
  const phone = recipient?.phone;
  if (phone === undefined || parsePhoneNumber(phone, clinic.country) !== null) return [];
  const message = "expected a phone number such as +34600111222";
  return [{ pointer: "/recipient/phone", code: "invalid_phone", message }];
}

export function timeZoneFaults(
  { recipient, appointment }: {
    recipient?: { timeZone?: string | undefined } | undefined;
    appointment?: { timeZone?: string | undefined } | undefined;
  },
  { timeZones }: Pick<Circumstances, "timeZones">,
): Fault[] {
  return Object.entries({ recipient, appointment }).flatMap(([field, part]) => {
    if (part?.timeZone === undefined || timeZones.has(part.timeZone)) return [];
    const message = "expected an IANA time zone such as Europe/Madrid";
    return [{ pointer: `/${field}/timeZone`, code: "unknown_time_zone", message }];
  });
}

function timeFaults(
  parts: Partial<NotificationRequest>,
  { clinic, templates, now }: Circumstances,
): Fault[] {
  const { sendAt, expiresAt, appointment, template } = parts;
  const faults: Fault[] = [];
  function check(at: Date | undefined, pointer: string, days: number, from: Date): void {
    if (at === undefined || at.getTime() <= from.getTime() + days * DAY_MS) return;
    faults.push({ pointer, code: "too_far", message: `expected at most ${days} days ahead` });
  }
  check(sendAt, "/sendAt", SEND_AHEAD_DAYS_MAX, now);
  check(appointment?.startsAt, "/appointment/startsAt", APPOINTMENT_AHEAD_DAYS_MAX, now);

  const start = latest(sendAt, now);
  check(expiresAt, "/expiresAt", EXPIRE_AFTER_DAYS_MAX, start);
  if (expiresAt !== undefined) {
    if (expiresAt > start) return faults;
    const message = "expected a time after sendAt and after now";
    return [...faults, { pointer: "/expiresAt", code: "too_early", message }];
  }
  const need = template === undefined ? undefined : templates.get(template)?.appointment;
  if (need !== undefined && defaultExpiry(parts, { clinic, need, now }) <= start) {
    const message = "the message would be of no use any more when it is sent: give expiresAt";
    faults.push({ pointer: "/appointment/startsAt", code: "too_early", message });
  }
  return faults;
}

/** When a message is of no use any more, if the request does not say. */
export function defaultExpiry(
  { sendAt, appointment }: Partial<NotificationRequest>,
  { clinic, need, now }: { clinic: Clinic; need: AppointmentNeed; now: Date },
): Date {
  if (appointment === undefined) {
    return new Date(latest(sendAt, now).getTime() + DEFAULT_USE_HOURS * HOUR_MS);
  }
  // That it does not take place is worth knowing to the last minute
  if (need === "cancelled") return appointment.startsAt;
  const before = Temporal.Duration.from(clinic.expiresBefore).total("milliseconds");
  return new Date(appointment.startsAt.getTime() - before);
}

export function latest(at: Date | undefined, now: Date): Date {
  return at !== undefined && at > now ? at : now;
}
