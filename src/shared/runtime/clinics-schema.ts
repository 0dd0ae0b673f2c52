import { isPossiblePhoneNumber, isSupportedCountry } from "libphonenumber-js";
import { z } from "zod";
import { CHANNELS } from "../domain/delivery.ts";
import { isLocale } from "../templates/locales.ts";

const REMINDER_DAYS_MAX = 366;

// A schema's message says what was expected; loadClinics() adds where, and what was there instead

const Id = matching("an id such as oak", /^[a-z0-9][a-z0-9-]{0,39}$/);
const Name = matching("a line of 1 to 60 characters", /^(?! )\P{Cc}{1,60}(?<! )$/u);
const FhirId = matching("the id of a FHIR Location", /^[A-Za-z0-9.-]{1,64}$/);
const TimeZone = checked("an IANA time zone such as Europe/London", isTimeZone);
const Country = z.string(expected("a country code such as GB"))
  .refine(isSupportedCountry, expected("an ISO 3166 country code such as GB"));
const Locale = checked("a BCP 47 language tag such as en or cy-GB", isLocale);
const Phone = checked('an international number such as "+442079460958"', isPhone);
const TimeOfDay = matching('a time of day such as "09:00"', /^([01]\d|2[0-3]):[0-5]\d$/);
const TimeDuration = checked(
  "hours and minutes, such as PT15M",
  (value) => durationKind(value) === "time",
);
const RatePerSecond = z.number(expected("a number of messages a second"))
  .positive(expected("a number greater than 0")).optional();

const Stage = z.strictObject({
  before: checked(
    "days, such as P7D, or hours and minutes, such as PT2H, up to a year",
    (value) => durationKind(value) !== null,
  ),
  at: TimeOfDay.optional(),
  channels: z.array(z.enum(CHANNELS, expected("email or sms")), expected("a list of channels"))
    .min(1, expected("at least one channel"))
    .refine(isUnique, expected("each channel once")),
  strategy: z.enum(["all", "first-success"], expected("all or first-success")).default("all"),
}, expected("a reminder: before, at, channels, strategy")).refine(
  ({ before, at }) => at === undefined || durationKind(before) === "date",
  { path: ["at"], ...expected("no time of day: the reminder is hours before, not days") },
);

const EmailSender = z.strictObject({
  from: checked("an address such as Oak Clinic <post@oak.example>", isMailbox),
  ratePerSecond: RatePerSecond,
}, expected("from and ratePerSecond"));

const SmsSender = z.strictObject({
  from: checked(
    "a number, a name of up to 11 letters, digits and spaces, or a Messaging Service's id",
    isSmsSender,
  ),
  ratePerSecond: RatePerSecond,
}, expected("from and ratePerSecond"));

const QuietHours = z.strictObject({ from: TimeOfDay, until: TimeOfDay }, expected("from and until"))
  .refine(({ from, until }) => from !== until, expected("two different times"));

const Clinic = z.strictObject({
  id: Id,
  name: Name,
  timeZone: TimeZone,
  country: Country,
  locales: z.tuple([Locale], Locale, expected("a list of languages"))
    .refine(isUnique, expected("each language once")),
  phone: Phone,
  fhirLocations: z.array(FhirId, expected("a list of ids")).default([]),
  senders: z.strictObject(
    { email: EmailSender.optional(), sms: SmsSender.optional() },
    expected("email and sms"),
  ),
  quietHours: QuietHours.nullable().default(null),
  reminders: z.array(Stage, expected("a list of reminders")).default([]),
  expiresBefore: TimeDuration.default("PT15M"),
  maxDataAge: TimeDuration.default("PT6H"),
  retentionDays: z.int(expected("3 to 90 days"))
    .min(3, expected("3 to 90 days")).max(90, expected("3 to 90 days")).default(7),
  unclearEmail: z.enum(["repeat", "hold"], expected("repeat or hold")).default("repeat"),
}, expected("a clinic"));

export const ClinicsFile = z.strictObject({
  clinics: z.array(Clinic, expected("a list of clinics")).min(1, expected("at least one clinic")),
}, expected("clinics: and a list"));

function expected(what: string) {
  return {
    error: ({ input }: { input?: unknown }) =>
      `${input === undefined ? "is missing: " : ""}expected ${what}`,
  };
}

function checked(what: string, check: (value: string) => boolean) {
  return z.string(expected(what)).refine(check, expected(what));
}

function matching(what: string, pattern: RegExp) {
  return checked(what, (value) => pattern.test(value));
}

function isUnique(values: readonly string[]): boolean {
  return new Set(values).size === values.length;
}

/** Only names such as Europe/London: an offset or an abbreviation knows no change of clocks. */
function isTimeZone(value: string): boolean {
  if (value !== "UTC" && !value.includes("/")) return false;
  try {
    return new Temporal.ZonedDateTime(0n, value).timeZoneId === value;
  } catch (error) {
    if (error instanceof RangeError) return false; // No zone has this name
    throw error;
  }
}

function isPhone(value: string): boolean {
  return /^\+[1-9]\d{6,14}$/.test(value) && isPossiblePhoneNumber(value);
}

function isMailbox(value: string): boolean {
  const [, address] = /^(?:[^\p{Cc}<>()[\]\\,;:"@]+|"[^\p{Cc}"\\]+") <(\S+)>$/u.exec(value) ?? [];
  return z.email().safeParse(address ?? value).success;
}

function isSmsSender(value: string): boolean {
  const isName = /^(?=.*[A-Za-z])[A-Za-z0-9](?:[A-Za-z0-9 ]{0,9}[A-Za-z0-9])?$/.test(value);
  return isName || isPhone(value) || /^MG[0-9a-f]{32}$/.test(value);
}

/** Which kind of positive ISO 8601 duration it is; null for any other text, and for both kinds in one. */
function durationKind(value: string): "date" | "time" | null {
  try {
    const duration = Temporal.Duration.from(value);
    const { years, months, weeks, days } = duration;
    const hasDate = years + months + weeks + days !== 0;
    const hasTime = !duration.with({ years: 0, months: 0, weeks: 0, days: 0 }).blank;
    const totalDays = duration.total({ unit: "days", relativeTo: "2026-01-01" });
    if (hasDate === hasTime || totalDays <= 0 || totalDays > REMINDER_DAYS_MAX) return null;
    return hasDate ? "date" : "time";
  } catch (error) {
    if (error instanceof RangeError) return null; // Not a duration
    throw error;
  }
}

// What findConflicts() reads; whatever is not so is the schema's to report
const Comparable = z.object({
  clinics: z.array(
    z.object({
      id: z.string().nullable().catch(null),
      fhirLocations: z.array(z.string()).catch([]),
      senders: z.record(z.string(), z.unknown()).catch({}),
      reminders: z.array(
        z.object({ before: z.string().catch(""), channels: z.array(z.enum(CHANNELS)).catch([]) })
          .catch({ before: "", channels: [] }),
      ).catch([]),
    }).catch({ id: null, fhirLocations: [], senders: {}, reminders: [] }),
  ).catch([]),
}).catch({ clinics: [] });

type Conflict = { path: PropertyKey[]; message: string; input: unknown };

/** What is wrong between fields that may each be right. Also reads a file in which others are wrong. */
export function findConflicts(content: unknown): Conflict[] {
  const conflicts: Conflict[] = [];
  const owners = new Map<string, string>();
  function claim(thing: string, path: PropertyKey[], input: string): void {
    const owner = owners.get(thing);
    if (owner === undefined) owners.set(thing, z.core.toDotPath(path));
    else conflicts.push({ path, message: `expected one that differs from ${owner}`, input });
  }

  Comparable.parse(content).clinics.forEach(({ id, fhirLocations, senders, reminders }, clinic) => {
    if (id !== null) claim(`clinic ${id}`, ["clinics", clinic, "id"], id);
    fhirLocations.forEach((location, index) =>
      claim(`location ${location}`, ["clinics", clinic, "fhirLocations", index], location)
    );
    reminders.forEach(({ before, channels }, index) => {
      const path = ["clinics", clinic, "reminders", index];
      if (durationKind(before) !== null) {
        claim(`reminder ${clinic} ${Temporal.Duration.from(before)}`, [...path, "before"], before);
      }
      for (const channel of channels) {
        if (senders[channel] !== undefined) continue;
        const message =
          `expected clinics[${clinic}].senders.${channel}, for this reminder needs it`;
        conflicts.push({ path: [...path, "channels"], message, input: undefined });
      }
    });
  });
  return conflicts;
}
