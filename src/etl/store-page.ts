import { upsertAppointments, withdrawAppointments } from "../shared/database/appointments.ts";
import type { Db } from "../shared/database/connect.ts";
import { upsertPatients, withdrawPatients } from "../shared/database/patients.ts";
import {
  clearUnusable,
  recordMissingPatients,
  recordUnusable,
} from "../shared/database/unusable-resources.ts";
import type { MappedPage } from "./map-page.ts";

export type StoredCounts = {
  /** Read and usable, whether or not we had them already. */
  appointments: number;
  /** Those of them that are new or differ in something reminders depend on. */
  changed: number;
  /** One that both searches bring counts twice. */
  patients: number;
  unusable: number;
};

/**
 * Stores a page. Within a transaction: then the page is stored whole or not at all, and may be stored again.
 *
 * Every import takes the tables in this order and each table's rows in the order of their ids: no deadlock.
 */
export async function storePage(
  db: Db,
  { appointments, patients, unusable, absentPatients }: MappedPage,
): Promise<StoredCounts> {
  const storedPatients = await upsertPatients(db, patients);
  await withdrawPatients(db, unusable.filter(({ resource }) => resource === "Patient"));
  const stored = await upsertAppointments(db, appointments);
  await withdrawAppointments(db, unusable.filter(({ resource }) => resource === "Appointment"));

  await recordUnusable(db, unusable);
  const missing = await recordMissingPatients(db, absentPatients);
  await clearUnusable(db, "Appointment", stored.map(({ id }) => id));
  await clearUnusable(db, "Patient", storedPatients);
  return {
    appointments: appointments.length,
    changed: stored.filter(({ changed }) => changed).length,
    patients: patients.length,
    unusable: unusable.length + missing,
  };
}
