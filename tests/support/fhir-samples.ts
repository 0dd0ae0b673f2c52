import type { Clinic } from "../../src/shared/domain/clinic.ts";
import type { FhirResource } from "./fhir-server.ts";

/** A clinic at the FHIR location "madrid-1". */
export const MADRID: Clinic = {
  id: "madrid",
  name: "Clínica Retiro",
  timeZone: "Europe/Madrid",
  country: "ES",
  locales: ["es"],
  phone: "+34910000000",
  fhirLocations: ["madrid-1"],
  senders: {},
  quietHours: null,
  reminders: [],
  expiresBefore: "PT15M",
  maxDataAge: "PT1H",
  retentionDays: 30,
  unclearEmail: "hold",
};

export function fhirPatient(id: string, changes: Record<string, unknown> = {}): FhirResource {
  return {
    resourceType: "Patient",
    id,
    name: [{ given: ["Ana"], family: "Ruiz" }],
    telecom: [{ system: "phone", value: "600 111 222", use: "mobile" }],
    ...changes,
  };
}

/** A booked appointment in Madrid, far enough from now for every first import. */
export function fhirAppointment(
  id: string,
  { patient, ...changes }: { patient: string } & Record<string, unknown>,
): FhirResource {
  return {
    resourceType: "Appointment",
    id,
    status: "booked",
    start: "2099-12-03T10:30:00+01:00",
    participant: [
      { actor: { reference: `Patient/${patient}` }, status: "accepted" },
      { actor: { reference: "Location/madrid-1", display: "Retiro" }, status: "accepted" },
    ],
    ...changes,
  };
}
