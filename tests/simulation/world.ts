import type { SourceAppointment } from "../../src/shared/database/appointments.ts";
import type { SourcePatient } from "../../src/shared/database/patients.ts";
import type { Clinic } from "../../src/shared/domain/clinic.ts";
import type { Templates } from "../../src/shared/templates/templates.ts";
import type { Random } from "./random.ts";

export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;

/** The clinics, and what their own system says of patients and appointments. It changes as time goes on. */
export type World = {
  clinics: ReadonlyMap<string, Clinic>;
  patients: SourcePatient[];
  appointments: (SourceAppointment & { startsAt: Date })[];
};

const NIGHTS = [
  "2026-03-28T22:00:00Z", // Before summer time begins in Europe
  "2026-10-24T22:00:00Z", // Before it ends
] as const;
const PLACES = [
  { id: "oak", timeZone: "Europe/London", country: "GB" },
  { id: "ruiz", timeZone: "Europe/Madrid", country: "ES" },
  { id: "maple", timeZone: "America/New_York", country: "US" },
] as const;
export const TIME_ZONES: ReadonlySet<string> = new Set(PLACES.map(({ timeZone }) => timeZone));

export function drawStart(random: Random): Date {
  const special = random.chance(0.2);
  const base = special ? random.pick(NIGHTS) : "2026-05-04T00:00:00Z";
  return new Date(Date.parse(base) + random.between(0, special ? 8 : 24 * 7) * HOUR_MS);
}

export function drawWorld(random: Random, start: Date): World {
  const places = PLACES.slice(0, random.integer(1, 2));
  const clinics = places.map((place) => drawClinic(random, place));
  const patients = Array.from({ length: random.integer(1, 3) }, (_, index): SourcePatient => ({
    id: `patient-${index}`,
    givenName: `Name${index}`,
    email: random.chance(0.9) ? `patient-${index}@example.test` : null,
    phone: random.chance(0.9) ? `+44770090010${index}` : null,
    locale: random.pick(["en", "es", null]),
    active: true,
    deceased: false,
    mergedInto: null,
    version: "1",
    sourceUpdatedAt: start,
  }));
  const appointments = Array.from({ length: random.integer(1, 3) }, (_, index) => {
    const clinic = random.pick(clinics);
    const hours = random.pick([0.5, 2, 2.2, 3, 20, 26]);
    return {
      id: `appointment-${index}`,
      clinicId: clinic.id,
      patientId: random.pick(patients).id,
      status: "booked" as const,
      startsAt: new Date(start.getTime() + hours * HOUR_MS),
      timeZone: clinic.timeZone,
      practitioner: null,
      location: null,
      modality: "in-person" as const,
      confirmed: false,
      version: "1",
      sourceUpdatedAt: start,
    };
  });
  return { clinics: new Map(clinics.map((one) => [one.id, one])), patients, appointments };
}

function drawClinic(
  random: Random,
  { id, timeZone, country }: Pick<Clinic, "id" | "timeZone" | "country">,
): Clinic {
  const ratePerSecond = random.chance(0.1) ? random.between(0.2, 5) : undefined;
  return {
    id,
    name: `Clinic ${id}`,
    timeZone,
    country,
    locales: ["en"],
    phone: "+442079460958",
    fhirLocations: [],
    senders: {
      email: { from: `${id}@example.test`, ratePerSecond },
      sms: { from: "+447700900999", ratePerSecond },
    },
    quietHours: random.chance(0.3) ? { from: "21:00", until: "08:00" } : null,
    reminders: random.chance(0.5) ? [] : [
      { before: "P1D", channels: ["sms", "email"], strategy: "first-success" },
      { before: "PT2H", channels: ["sms"], strategy: "all" },
    ],
    expiresBefore: "PT15M",
    maxDataAge: "PT2H",
    retentionDays: 7,
    unclearEmail: random.chance(0.7) ? "repeat" : "hold",
  };
}

/** Words as they are in the real templates: they name the patient and the time, and are not the same for two requests. */
export const simulatedTemplates: Templates = {
  ids: ["appointment-confirmation", "appointment-reminder", "appointment-cancelled", "news"],
  get: (id) => ({
    id,
    appointment: id === "news" ? "any" : id === "appointment-cancelled" ? "cancelled" : "booked",
    data: { practitioner: "optional" },
    channels: ["email", "sms"],
    locales: ["en"],
  }),
  checkData: () => [],
  render: ({ template, channel, clinic, name, data, appointment }) => {
    const time = appointment?.startsAt.toISOString() ?? "";
    const text = `${clinic.name}: ${name}, ${template} ${time} ${data.practitioner ?? ""}`;
    if (channel === "sms") return { channel, locale: "en", text, encoding: "GSM-7", segments: 1 };
    return { channel, locale: "en", subject: text, text, html: text };
  },
};
