import type { RemindedAppointment } from "../domain/plan-reminders.ts";
import type { Db } from "./connect.ts";

/** The text of a clinic's reminder plan: when it changes, the clinic's appointments are planned again. */
export type PlanText = { clinicId: string; plan: string };

export type UnplannedAppointment = RemindedAppointment & {
  id: string;
  clinicId: string;
  sequence: number;
  /** The database's clock. */
  now: Date;
};

export type AppointmentPlan = {
  id: string;
  sequence: number;
  /** The stages of the clinic's plan; what still waits in any other stage or sequence is cancelled. */
  stages: string[];
  /** The reason for that. A reminder of an earlier time of the appointment is `appointment_rescheduled` in any case. */
  withdrawal: string;
  reminders: {
    id: string;
    stage: string;
    status: "planned" | "skipped";
    reason: string | null;
    dueAt: Date;
    expiresAt: Date;
  }[];
};

/**
 * Has the coming appointments of those clinics planned again whose plan is not what it was. Returns how many they are.
 *
 * A clinic that is no longer among `plans` has the empty plan. Of several runs at once, one finds the change.
 */
export async function replanChangedClinics(db: Db, plans: readonly PlanText[]): Promise<number> {
  const { count } = await db`
    with current as (
      select "clinicId" as clinic_id, plan
        from jsonb_to_recordset(${db.json(plans as never)}) as p("clinicId" text, plan text)
    ), wanted as (
      select clinic_id, plan from current
      union all
      select clinic_id, '' from clinic.reminder_plan
       where clinic_id not in (select clinic_id from current)
    ), changed as (
      insert into clinic.reminder_plan as known (clinic_id, plan)
      select clinic_id, plan
        from wanted
       where not exists (
         select from clinic.reminder_plan same where same.clinic_id = wanted.clinic_id and same.plan = wanted.plan)
       order by clinic_id
          on conflict (clinic_id) do update set plan = excluded.plan, changed_at = now()
       where known.plan <> excluded.plan
      returning clinic_id
    )
    update clinic.appointment a
       set planned = false
      from changed
     where a.clinic_id = changed.clinic_id and a.starts_at > now() and a.planned
  `;
  return count;
}

/** Locks up to `limit` appointments whose reminders are not those of what the row now says. */
export async function lockUnplannedAppointments(
  tx: Db,
  { limit }: { limit: number },
): Promise<UnplannedAppointment[]> {
  return await tx<UnplannedAppointment[]>`
    select id, clinic_id, status, starts_at, time_zone, confirmed, sequence, now() as now,
           not exists (
             select from clinic.reminder r
              where r.appointment_id = a.id and r.sequence = a.sequence and r.status <> 'cancelled') as first_plan
      from clinic.appointment a
     where not planned
     order by changed_at
     limit ${limit}
       for update skip locked
  `;
}

/**
 * Writes the reminders of locked appointments, withdraws those that no longer hold, and marks the appointments planned.
 *
 * A reminder that has been given out, or is being given out, stays as it is: the worker's lease reads the appointment
 * again. One that was skipped or cancelled comes back when the plan says so.
 */
export async function applyPlans(tx: Db, plans: readonly AppointmentPlan[]): Promise<void> {
  await tx`
    with plan as materialized (
      select *
        from jsonb_to_recordset(${tx.json(plans as never)}) as p(
               id text, sequence integer, stages jsonb, withdrawal text, reminders jsonb)
    ), written as (
      insert into clinic.reminder as r (id, appointment_id, sequence, stage, status, reason, due_at, expires_at)
      select n.id, plan.id, plan.sequence, n.stage, n.status, n.reason, n."dueAt", n."expiresAt"
        from plan
       cross join jsonb_to_recordset(plan.reminders) as n(
               id uuid, stage text, status text, reason text, "dueAt" timestamptz, "expiresAt" timestamptz)
       -- The conflict below locks rows even where it changes nothing: keep off those a run has in hand.
       -- A scalar subquery, for a join would read the whole table
       where coalesce((
         select r.status from clinic.reminder r
          where r.appointment_id = plan.id and r.sequence = plan.sequence and r.stage = n.stage), 'none')
             not in ('claimed', 'forwarded', 'failed')
          on conflict (appointment_id, sequence, stage) do update
         set status = excluded.status, reason = excluded.reason, due_at = excluded.due_at,
             expires_at = excluded.expires_at, updated_at = now()
       where r.status in ('planned', 'skipped', 'cancelled')
    ), withdrawn as (
      update clinic.reminder r
         set status = 'cancelled', claimed_until = null, updated_at = now(),
             reason = case when r.sequence < plan.sequence then 'appointment_rescheduled' else plan.withdrawal end
        from plan
       where r.appointment_id = plan.id
         and (r.status = 'planned' or (r.status = 'claimed' and r.claimed_until <= now()))
         and (r.sequence <> plan.sequence or not plan.stages ? r.stage)
    )
    update clinic.appointment a set planned = true from plan where a.id = plan.id
  `;
}
