import type { Db } from "./connect.ts";
import type { SourceVersion } from "./source-versions.ts";

/** Why a resource of the clinic's system cannot be used. Closed: the console explains each. */
export type UnusableReason =
  /** It is not what FHIR R4 says the resource looks like. */
  | "invalid"
  | "unknown_status"
  /** A status that needs a time has none, or one without an offset. */
  | "no_start"
  | "no_patient"
  /** A group appointment: we keep one patient for each appointment. */
  | "several_patients"
  /** The patient exists only inside the appointment, and so has no id of their own. */
  | "contained_patient"
  /** The patient is a record of another server. */
  | "foreign_patient"
  | "no_location"
  /** The place belongs to no clinic in clinics.yaml. */
  | "unknown_location"
  /** An appointment names the patient, and the server did not hand the record over. */
  | "not_included";

export type UnusableResource = SourceVersion & {
  resource: "Appointment" | "Patient";
  id: string;
  reason: UnusableReason;
};

/** A resource that is not seen again for this long is forgotten: most are appointments long past. */
const FORGET_AFTER_DAYS = 90;

export async function recordUnusable(
  db: Db,
  resources: readonly UnusableResource[],
): Promise<void> {
  if (resources.length === 0) return;
  await db`
    insert into clinic.unusable_resource as u (resource, id, reason)
    select distinct on (resource, id) resource, id, reason  -- Those without an id share a row
      from jsonb_to_recordset(${
    db.json(resources as never)
  }) as t(resource text, id text, reason text)
     order by resource, id
        on conflict (resource, id) do update set reason = excluded.reason, last_seen = now()
  `;
}

/** Records those of the patients that we do not have. Returns how many. */
export async function recordMissingPatients(db: Db, ids: readonly string[]): Promise<number> {
  if (ids.length === 0) return 0;
  const { count } = await db`
    insert into clinic.unusable_resource as u (resource, id, reason)
    select 'Patient', t.id, 'not_included'
      from (select distinct unnest(${ids as string[]}::text[]) as id) t
     where not exists (select from clinic.patient p where p.id = t.id)
     order by t.id
        on conflict (resource, id) do update set reason = excluded.reason, last_seen = now()
  `;
  return count;
}

/** They can be used again. */
export async function clearUnusable(
  db: Db,
  resource: UnusableResource["resource"],
  ids: readonly string[],
): Promise<void> {
  if (ids.length === 0) return;
  await db`
    delete from clinic.unusable_resource where resource = ${resource} and id = any(${ids as string[]})
  `;
}

export async function forgetUnusable(db: Db): Promise<void> {
  await db`
    delete from clinic.unusable_resource
     where last_seen < now() - make_interval(days => ${FORGET_AFTER_DAYS})
  `;
}
