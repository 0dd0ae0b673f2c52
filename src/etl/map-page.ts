import type { SourceAppointment } from "../shared/database/appointments.ts";
import type { SourcePatient } from "../shared/database/patients.ts";
import type { UnusableResource } from "../shared/database/unusable-resources.ts";
import type { Clinic } from "../shared/domain/clinic.ts";
import { mapAppointment } from "./map-appointment.ts";
import { mapPatient } from "./map-patient.ts";
import { type SortedEntries, toUnusable } from "./sort-entries.ts";

/** What is stored of a page. Whether a resource is usable is decided here, and nothing is left out silently. */
export type MappedPage = {
  appointments: SourceAppointment[];
  patients: SourcePatient[];
  unusable: UnusableResource[];
  /** Patients named by an appointment whose records are not on the page. */
  absentPatients: string[];
};

/** Of the included patients only those are taken who have a usable appointment on the page: we keep no others. */
export function mapAppointmentPage(
  sorted: SortedEntries,
  { clinicsByLocation, now }: { clinicsByLocation: ReadonlyMap<string, Clinic>; now: Date },
): MappedPage {
  const appointments: SourceAppointment[] = [];
  const unusable = [...sorted.unusable];
  const countries = new Map<string, string>();
  for (const resource of sorted.appointments.values()) {
    const mapped = mapAppointment(resource, { clinicsByLocation, ...sorted });
    if (mapped.kind === "unusable") {
      unusable.push(toUnusable("Appointment", resource, mapped.reason));
    } else {
      appointments.push(mapped.appointment);
      countries.set(mapped.appointment.patientId, mapped.clinic.country);
    }
  }
  const { patients, unusable: unusablePatients } = mapPatients(sorted, { countries, now });
  return {
    appointments,
    patients,
    unusable: [...unusable, ...unusablePatients],
    absentPatients: [...countries.keys()].filter((id) => !sorted.patients.has(id)),
  };
}

/** `countries` says whose records are wanted, and how their phone numbers are read. */
export function mapPatients(
  { patients, bases }: SortedEntries,
  { countries, now }: { countries: ReadonlyMap<string, string | null>; now: Date },
): Pick<MappedPage, "patients" | "unusable"> {
  const usable: SourcePatient[] = [];
  const unusable: UnusableResource[] = [];
  for (const [id, country] of countries) {
    const resource = patients.get(id);
    if (resource === undefined) continue;
    const patient = mapPatient(resource, { country, now, bases });
    if (patient === null) unusable.push(toUnusable("Patient", resource, "invalid"));
    else usable.push(patient);
  }
  return { patients: usable, unusable };
}
