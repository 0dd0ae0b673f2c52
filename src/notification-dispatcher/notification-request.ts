import { createHash } from "node:crypto";
import { z } from "zod";
import { CHANNELS } from "../shared/domain/delivery.ts";
import { DATA_VALUE_MAX } from "../shared/templates/check-data.ts";

/** The most a body may have, in bytes. */
export const REQUEST_BYTES_MAX = 256 * 1024;
export const BATCH_BYTES_MAX = 4 * 1024 * 1024;
export const BATCH_MAX = 500;

// Control characters could start a header of their own in an email; what is not well-formed cannot be stored
const SINGLE_LINE = /^[^\p{Cc}\p{Cs}\u2028\u2029]+$/u;
const line = (max: number) =>
  z.string().max(max).regex(SINGLE_LINE, "expected text on one line, without control characters");

const instant = z.iso.datetime({
  offset: true,
  error: "expected a time with seconds and offset, such as 2026-12-03T09:30:00Z",
}).transform((text) => new Date(text));

const timeZone = z.string().max(64).meta({ description: "IANA time zone", format: "time-zone" });
const locale = z.string().max(35).refine(
  isLocale,
  "expected a BCP 47 language tag, such as es-ES",
).meta({ description: "BCP 47 language tag" });

const DURATION = /^P(?=[\dT])(?:\d{1,3}D)?(?:T(?=\d)(?:\d{1,4}H)?(?:\d{1,5}M)?(?:\d{1,6}S)?)?$/;

export const Recipient = z.strictObject({
  patientId: line(128).optional().meta({
    description: "What the request leaves out (address, name, language) is then read at sending",
  }),
  name: line(200).optional(),
  email: z.email("expected an email address").max(254).optional(),
  phone: line(32).optional().meta({ description: "E.164, or a number of the clinic's country" }),
  locale: locale.optional(),
  timeZone: timeZone.optional(),
});

export const Appointment = z.strictObject({
  id: line(128),
  version: line(64).optional(),
  startsAt: instant,
  timeZone: timeZone.optional(),
});

export const TemplateData = z.record(
  z.string().regex(/^[A-Za-z][A-Za-z0-9_]{0,63}$/),
  z.union([line(DATA_VALUE_MAX), z.number()], "expected a line of text, or a number"),
).meta({ description: "What the template asks for beside the appointment and the clinic" });

export const Clinic = z.string().min(1).max(64).meta({
  description: "Only for keys that speak for every clinic; others speak for their own",
});

const EXAMPLE = {
  reference: "booking-8821:confirmation",
  template: "appointment-confirmation",
  recipient: {
    patientId: "p-9",
    name: "Ana",
    email: "ana@example.org",
    phone: "+34600111222",
    locale: "es-ES",
    timeZone: "Europe/Madrid",
  },
  channels: ["sms", "email"],
  strategy: "all",
  data: { practitioner: "Dr Ruiz" },
  appointment: {
    id: "a-12345",
    version: "3",
    startsAt: "2026-12-03T09:30:00Z",
    timeZone: "Europe/Madrid",
  },
  sendAt: "2026-12-02T09:30:00Z",
  expiresAt: "2026-12-03T09:15:00Z",
};

export const NotificationRequest = z.strictObject({
  reference: line(255).meta({
    description: "Unique per client: the same request again gives the same answer",
  }),
  clinic: Clinic.optional(),
  template: z.string().min(1).max(64),
  recipient: Recipient,
  channels: z.array(z.enum(CHANNELS)).min(1).max(CHANNELS.length).meta({
    description: "In the order of preference",
  }),
  strategy: z.enum(["all", "first-success"]).default("all").meta({
    description: "first-success: the next channel only when one has failed for good",
  }),
  data: TemplateData.default({}),
  appointment: Appointment.optional(),
  sendAt: instant.optional().meta({ description: "Left out or past: now" }),
  expiresAt: instant.optional().meta({
    description:
      "Left out: a while before the appointment, as the clinic says, or 24 hours after sending",
  }),
  maxDataAge: z.string().regex(DURATION, "expected a duration such as PT2H or P1D").optional().meta(
    {
      description: "Held back while the last import of appointments is older",
    },
  ),
}).meta({ examples: [EXAMPLE] });
export type NotificationRequest = z.infer<typeof NotificationRequest>;

export const BatchRequest = z.strictObject({
  notifications: z.array(z.unknown()).min(1).max(BATCH_MAX),
});

/**
 * What of an invalid request is valid by itself, so that the rest can be checked too and all faults be told at once.
 */
export function salvage(value: unknown): Partial<NotificationRequest> {
  return salvageObject(NotificationRequest.shape, value) as Partial<NotificationRequest>;
}

function salvageObject(shape: z.core.$ZodShape, value: unknown): Record<string, unknown> {
  const parts: Record<string, unknown> = {};
  if (typeof value !== "object" || value === null) return parts;
  for (const [key, schema] of Object.entries(shape)) {
    if (!Object.hasOwn(value, key)) continue;
    const part = (value as Record<string, unknown>)[key];
    const result = z.safeParse(schema, part);
    if (result.success) parts[key] = result.data;
    else if (key === "recipient") parts[key] = salvageObject(Recipient.shape, part);
  }
  return parts;
}

/** SHA-256 of a value, whatever the order of its keys. */
export function hashCanonically(value: unknown): string {
  return createHash("sha256").update(canonical(value)).digest("hex");
}

function canonical(value: unknown): string {
  if (value instanceof Date || typeof value !== "object" || value === null) {
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  fields.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([key, field]) => `${JSON.stringify(key)}:${canonical(field)}`).join()}}`;
}

function isLocale(tag: string): boolean {
  try {
    return Intl.getCanonicalLocales(tag).length === 1;
  } catch {
    return false;
  }
}
