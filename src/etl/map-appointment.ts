import type { SourceAppointment } from "../shared/database/appointments.ts";
import type { UnusableReason } from "../shared/database/unusable-resources.ts";
import { APPOINTMENT_STATUSES, type AppointmentStatus } from "../shared/domain/appointment.ts";
import type { Clinic } from "../shared/domain/clinic.ts";
import { Appointment, Instant, type Participant } from "./fhir-resources.ts";
import { parseReference, type Reference } from "./references.ts";

export type AppointmentContext = {
  clinicsByLocation: ReadonlyMap<string, Clinic>;
  /** The addresses of the server. */
  bases: ReadonlySet<string>;
  /** Names of the included places and practitioners, by "Location/id" and the like. */
  names: ReadonlyMap<string, string>;
};

export type MappedAppointment =
  | { kind: "usable"; appointment: SourceAppointment; clinic: Clinic }
  | { kind: "unusable"; reason: UnusableReason };

/** Whether an appointment in this status must have a time (FHIR R4 Appointment, rule app-3, and pending requests). */
const NEEDS_START: Record<AppointmentStatus, boolean> = {
  proposed: false,
  pending: false,
  booked: true,
  arrived: true,
  fulfilled: true,
  cancelled: false,
  noshow: true,
  "entered-in-error": false,
  "checked-in": true,
  waitlist: false,
};

/** How FHIR R4 servers say that the patient stays at home. */
const REMOTE_TYPES: ReadonlySet<string> = new Set([
  "http://terminology.hl7.org/CodeSystem/v3-ActCode|VR",
  "http://snomed.info/sct|448337001",
]);
/** R5's Appointment.virtualService, as R4 servers carry it. */
const VIRTUAL_SERVICE =
  "http://hl7.org/fhir/5.0/StructureDefinition/extension-Appointment.virtualService";

const PRACTITIONER_TYPES = ["Practitioner", "PractitionerRole"];

type Actor = Participant & { reference: Reference | null };

/** Turns a FHIR Appointment into ours. */
export function mapAppointment(resource: unknown, context: AppointmentContext): MappedAppointment {
  const parsed = Appointment.safeParse(resource);
  if (!parsed.success) return unusable("invalid");
  const { data } = parsed;

  const status = APPOINTMENT_STATUSES.find((known) => known === data.status);
  if (status === undefined) return unusable("unknown_status");
  const start = data.start === undefined ? null : Instant.safeParse(data.start);
  if (start?.success === false || (start === null && NEEDS_START[status])) {
    return unusable("no_start");
  }

  const actors = data.participant.map((participant): Actor => ({
    ...participant,
    reference: parseReference(participant.actor.reference, context.bases),
  }));
  const patient = findPatient(actors, data);
  if (patient.kind === "unusable") return patient;
  const place = findPlace(actors, context);
  if (place.kind === "unusable") return place;

  return {
    kind: "usable",
    clinic: place.clinic,
    appointment: {
      id: data.id,
      clinicId: place.clinic.id,
      patientId: patient.id,
      status,
      startsAt: start?.data ?? null,
      timeZone: place.clinic.timeZone,
      practitioner: nameOf(actors.find(isPractitioner), context),
      location: nameOf(place.actor, context),
      modality: isRemote(data) ? "remote" : "in-person",
      confirmed: patient.accepted,
      version: data.meta.versionId ?? null,
      sourceUpdatedAt: data.meta.lastUpdated ?? null,
    },
  };
}

type Unusable = { kind: "unusable"; reason: UnusableReason };

function unusable(reason: UnusableReason): Unusable {
  return { kind: "unusable", reason };
}

function findPatient(
  actors: readonly Actor[],
  { contained }: Appointment,
): { kind: "found"; id: string; accepted: boolean } | Unusable {
  const patients = actors.filter(({ reference }) => reference?.type === "Patient");
  const [first] = patients;
  if (first?.reference === undefined || first.reference === null) {
    const inside = contained.some(({ resourceType }) => resourceType === "Patient");
    return unusable(inside ? "contained_patient" : "no_patient");
  }
  const { id, local } = first.reference;
  if (patients.some(({ reference }) => reference?.id !== id)) return unusable("several_patients");
  if (!local) return unusable("foreign_patient");
  return { kind: "found", id, accepted: patients.some(({ status }) => status === "accepted") };
}

/** The first place that is a clinic's: an appointment may name the room as well as the building. */
function findPlace(
  actors: readonly Actor[],
  { clinicsByLocation }: AppointmentContext,
): { kind: "found"; clinic: Clinic; actor: Actor } | Unusable {
  const places = actors.filter(({ reference }) => reference?.type === "Location");
  for (const actor of places) {
    const clinic = actor.reference?.local ? clinicsByLocation.get(actor.reference.id) : undefined;
    if (clinic !== undefined) return { kind: "found", clinic, actor };
  }
  return unusable(places.length === 0 ? "no_location" : "unknown_location");
}

function isPractitioner({ reference }: Actor): boolean {
  return reference !== null && PRACTITIONER_TYPES.includes(reference.type);
}

function nameOf(found: Actor | undefined, { names }: AppointmentContext): string | null {
  if (found === undefined) return null;
  const { reference, actor } = found;
  const included = reference === null ? undefined : names.get(`${reference.type}/${reference.id}`);
  return actor.display || included || null;
}

function isRemote({ appointmentType, extension }: Appointment): boolean {
  return extension.some(({ url }) => url === VIRTUAL_SERVICE) ||
    (appointmentType?.coding ?? []).some(({ system, code }) =>
      REMOTE_TYPES.has(`${system}|${code}`)
    );
}
