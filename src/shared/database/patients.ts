import type { Db } from "./connect.ts";
import { notOlder, type SourceVersion } from "./source-versions.ts";

/** A patient as the clinic's system tells it. Personal data: never log it. */
export type SourcePatient = SourceVersion & {
  id: string;
  givenName: string | null;
  email: string | null;
  /** E.164, and able to get text messages as far as is known. */
  phone: string | null;
  /** BCP 47. */
  locale: string | null;
  active: boolean;
  deceased: boolean;
  /** The patient record that replaced this one. */
  mergedInto: string | null;
};

/** Stores a page of patients, each once, in one statement. Returns the ids stored: one older than what we hold is left out. */
export async function upsertPatients(
  db: Db,
  patients: readonly SourcePatient[],
): Promise<string[]> {
  if (patients.length === 0) return [];
  const rows = await db<{ id: string }[]>`
    insert into clinic.patient as p
           (id, given_name, email, phone, locale, active, deceased, merged_into, version, source_updated_at)
    select id, "givenName", email, phone, locale, active, deceased, "mergedInto", version, "sourceUpdatedAt"
      from jsonb_to_recordset(${db.json(patients as never)}) as t(
             id text, "givenName" text, email text, phone text, locale text, active boolean, deceased boolean,
             "mergedInto" text, version text, "sourceUpdatedAt" timestamptz)
     order by id
        on conflict (id) do update
       set given_name = excluded.given_name,
           email = excluded.email,
           phone = excluded.phone,
           locale = excluded.locale,
           active = excluded.active,
           deceased = excluded.deceased,
           merged_into = excluded.merged_into,
           version = excluded.version,
           source_updated_at = excluded.source_updated_at,
           synced_at = now()
     where ${notOlder(db, "excluded", "p")}
    returning id
  `;
  return rows.map(({ id }) => id);
}

/** Nothing may be sent to patients whose newest state cannot be read: they may have died since. */
export async function withdrawPatients(
  db: Db,
  patients: readonly ({ id: string } & SourceVersion)[],
): Promise<void> {
  if (patients.length === 0) return;
  await db`
    update clinic.patient p
       set active = false, synced_at = now()
      from (select id, version, "sourceUpdatedAt" as source_updated_at
              from jsonb_to_recordset(${db.json(patients as never)}) as r(
                     id text, version text, "sourceUpdatedAt" timestamptz)) t
     where p.id = t.id and ${notOlder(db, "t", "p")}
  `;
}

/** Which of `ids` we have or have an appointment of, each with the clinic of their latest appointment. */
export async function readClinicsOfPatients(
  db: Db,
  ids: readonly string[],
): Promise<{ id: string; clinicId: string | null }[]> {
  if (ids.length === 0) return [];
  return await db<{ id: string; clinicId: string | null }[]>`
    select w.id, latest.clinic_id
      from unnest(${ids as string[]}::text[]) as w(id)
      left join lateral (
             select a.clinic_id
               from clinic.appointment a
              where a.patient_id = w.id
              order by a.starts_at desc nulls last
              limit 1) latest on true
     where latest.clinic_id is not null or exists (select from clinic.patient p where p.id = w.id)
  `;
}
