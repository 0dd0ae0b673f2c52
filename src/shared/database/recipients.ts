import type { QuietHours } from "../domain/clinic.ts";
import type { Db } from "./connect.ts";

/** A patient who has been imported, as far as planning needs to know them. */
export type KnownPatient = {
  clinicId: string;
  patientId: string;
  /** The patient's own choice; null: the clinic's hours hold. */
  quiet: QuietHours | null;
};

/** Finds those of the patients that have been imported. */
export async function findKnownPatients(
  db: Db,
  patients: readonly { clinicId: string; patientId: string }[],
): Promise<KnownPatient[]> {
  if (patients.length === 0) return [];
  const rows = await db<
    { clinicId: string; patientId: string; quietFrom: string | null; quietUntil: string | null }[]
  >`
    select w."clinicId" as clinic_id, p.id as patient_id,
           to_char(pref.quiet_from, 'HH24:MI') as quiet_from, to_char(pref.quiet_until, 'HH24:MI') as quiet_until
      from jsonb_to_recordset(${db.json(patients as never)}) as w("clinicId" text, "patientId" text)
      join clinic.patient p on p.id = w."patientId"
      left join clinic.preference pref on pref.clinic_id = w."clinicId" and pref.patient_id = p.id
  `;
  return rows.map(({ clinicId, patientId, quietFrom, quietUntil }) => ({
    clinicId,
    patientId,
    quiet: quietFrom === null || quietUntil === null
      ? null
      : { from: quietFrom, until: quietUntil },
  }));
}

/** The names of the time zones the database can reckon with. One it does not know would fail every lease of its batch. */
export async function listTimeZones(db: Db): Promise<string[]> {
  const rows = await db<{ name: string }[]>`select name from pg_timezone_names`;
  return rows.map(({ name }) => name);
}
