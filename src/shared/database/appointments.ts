import type { AppointmentStatus } from "../domain/appointment.ts";
import type { Db } from "./connect.ts";
import { notOlder, type SourceVersion } from "./source-versions.ts";

/** An appointment as the clinic's system tells it. */
export type SourceAppointment = SourceVersion & {
  id: string;
  clinicId: string;
  patientId: string;
  status: AppointmentStatus;
  startsAt: Date | null;
  timeZone: string;
  practitioner: string | null;
  location: string | null;
  modality: "in-person" | "remote";
  confirmed: boolean;
};

/**
 * Stores a page of appointments, each once, in one statement. One older than what we hold is left out of the result.
 *
 * `changed`: its reminders have to be planned anew. Ordered by id, so that two imports at once cannot deadlock.
 */
export async function upsertAppointments(
  db: Db,
  appointments: readonly SourceAppointment[],
): Promise<{ id: string; changed: boolean }[]> {
  if (appointments.length === 0) return [];
  const changed = db`
    (a.status, a.starts_at, a.clinic_id, a.patient_id, a.time_zone, a.modality, a.confirmed, a.practitioner, a.location)
    is distinct from
    (excluded.status, excluded.starts_at, excluded.clinic_id, excluded.patient_id, excluded.time_zone,
     excluded.modality, excluded.confirmed, excluded.practitioner, excluded.location)`;
  return await db<{ id: string; changed: boolean }[]>`
    insert into clinic.appointment as a
           (id, clinic_id, patient_id, status, starts_at, time_zone, practitioner, location, modality, confirmed,
            version, source_updated_at)
    select id, "clinicId", "patientId", status, "startsAt", "timeZone", practitioner, location, modality, confirmed,
           version, "sourceUpdatedAt"
      from jsonb_to_recordset(${db.json(appointments as never)}) as t(
             id text, "clinicId" text, "patientId" text, status text, "startsAt" timestamptz, "timeZone" text,
             practitioner text, location text, modality text, confirmed boolean, version text,
             "sourceUpdatedAt" timestamptz)
     order by id
        on conflict (id) do update
       set clinic_id = excluded.clinic_id,
           patient_id = excluded.patient_id,
           status = excluded.status,
           starts_at = excluded.starts_at,
           time_zone = excluded.time_zone,
           practitioner = excluded.practitioner,
           location = excluded.location,
           modality = excluded.modality,
           confirmed = excluded.confirmed,
           version = excluded.version,
           source_updated_at = excluded.source_updated_at,
           sequence = a.sequence + (a.starts_at is distinct from excluded.starts_at)::int,
           synced_at = now(),
           changed_at = case when ${changed} then now() else a.changed_at end,
           planned = a.planned and not (${changed})
     where ${notOlder(db, "excluded", "a")}
    returning id, changed_at = now() as changed
  `;
}

/**
 * Takes back appointments whose newest state cannot be used (moved to a place that is no clinic of ours, patient
 * removed): what we hold of them is no longer true, so nothing may be sent for it.
 *
 * They become `entered-in-error`, not `cancelled`: that would tell the patient of a cancellation nobody made.
 */
export async function withdrawAppointments(
  db: Db,
  appointments: readonly ({ id: string } & SourceVersion)[],
): Promise<void> {
  if (appointments.length === 0) return;
  await db`
    update clinic.appointment a
       set status = 'entered-in-error',
           version = coalesce(t.version, a.version),
           source_updated_at = coalesce(t.source_updated_at, a.source_updated_at),
           synced_at = now(),
           changed_at = now(),
           planned = false
      from (select id, version, "sourceUpdatedAt" as source_updated_at
              from jsonb_to_recordset(${db.json(appointments as never)}) as r(
                     id text, version text, "sourceUpdatedAt" timestamptz)) t
     where a.id = t.id
       and a.status in ('proposed', 'pending', 'booked', 'waitlist')
       and ${notOlder(db, "t", "a")}
  `;
}
