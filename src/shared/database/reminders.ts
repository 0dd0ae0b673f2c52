import type { Reason } from "../domain/delivery.ts";
import type { Db } from "./connect.ts";

/** A stage of a clinic's plan, whose reminders the run knows how to give out. */
export type KnownStage = {
  clinicId: string;
  stage: string;
  /** ISO 8601: with data from a longer time ago nothing is given out. */
  maxDataAge: string;
};

export type ClaimedReminder = {
  id: string;
  stage: string;
  expiresAt: Date;
  lateSeconds: number;
  appointmentId: string;
  sequence: number;
  clinicId: string;
  patientId: string;
  startsAt: Date;
  timeZone: string;
};

export type Claim = {
  claimed: ClaimedReminder[];
  /** Reminders that had no use any more. */
  skipped: number;
};

/** What became of a claimed reminder. `planned`: it is given back. */
export type ReminderResult = {
  id: string;
  status: "forwarded" | "planned" | "failed";
  reason: Reason | null;
  notificationId: string | null;
};

/**
 * Takes up to `limit` due reminders out of everybody's reach for `claimSeconds`, and settles those that are of no use.
 *
 * `skip locked` lets any number of runs claim at once without handing out a reminder twice; the claim of a run that died
 * becomes claimable when its time is over. A reminder that has expired is skipped as too late, and one whose next stage
 * is due as well, or has gone out, as superseded. What the appointment's row no longer says is left to the planning.
 */
export async function claimDueReminders(
  db: Db,
  { stages, limit, claimSeconds }: {
    stages: readonly KnownStage[];
    limit: number;
    claimSeconds: number;
  },
): Promise<Claim> {
  const rows = await db<(ClaimedReminder & { status: "claimed" | "skipped" })[]>`
    with fresh as materialized (
      select s."clinicId" as clinic_id, s.stage
        from jsonb_to_recordset(${
    db.json(stages as never)
  }) as s("clinicId" text, stage text, "maxDataAge" interval)
        join clinic.sync_cursor c on c.resource = 'Appointment' and c.succeeded_at >= now() - s."maxDataAge"
    ), due as materialized (
      select r.id, a.clinic_id, a.patient_id, a.starts_at, a.time_zone,
             case
               when r.expires_at <= now() then 'too_late'
               when exists (
                 select from clinic.reminder later
                  where later.appointment_id = r.appointment_id and later.sequence = r.sequence
                    and later.due_at > r.due_at and later.due_at <= now()
                    and later.status in ('planned', 'claimed', 'forwarded')) then 'superseded'
             end as skip_reason
        from clinic.reminder r
        join clinic.appointment a on a.id = r.appointment_id
       where r.status in ('planned', 'claimed') and r.due_at <= now()
         and (r.claimed_until is null or r.claimed_until <= now())
         and (r.expires_at <= now()
              or (a.planned and a.status = 'booked' and a.sequence = r.sequence
                  and (a.clinic_id, r.stage) in (select clinic_id, stage from fresh)))
       order by r.due_at
       limit ${limit}
         for update of r skip locked
    )
    update clinic.reminder r
       set status = case when due.skip_reason is null then 'claimed' else 'skipped' end,
           reason = due.skip_reason,
           claimed_until = case when due.skip_reason is null then now() + make_interval(secs => ${claimSeconds}) end,
           updated_at = now()
      from due
     where r.id = due.id
    returning r.id, r.status, r.stage, r.expires_at, r.appointment_id, r.sequence,
              extract(epoch from now() - r.due_at)::float8 as late_seconds,
              due.clinic_id, due.patient_id, due.starts_at, due.time_zone
  `;
  const claimed = rows.filter(({ status }) => status === "claimed");
  return { claimed, skipped: rows.length - claimed.length };
}

/** Records what became of claimed reminders. Any run's word counts: a reminder that was given out was given out. */
export async function settleReminders(db: Db, results: readonly ReminderResult[]): Promise<void> {
  await db`
    update clinic.reminder r
       set status = s.status, reason = s.reason, notification_id = s."notificationId", claimed_until = null,
           updated_at = now()
      from jsonb_to_recordset(${db.json(results as never)}) as s(
             id uuid, status text, reason text, "notificationId" uuid)
     where r.id = s.id and r.status = 'claimed'
  `;
}

/** How many reminders are due but held back, for the data of their clinic is too old. */
export async function countHeldReminders(db: Db, stages: readonly KnownStage[]): Promise<number> {
  const [row] = await db<{ held: number }[]>`
    with stale as materialized (
      select s."clinicId" as clinic_id, s.stage
        from jsonb_to_recordset(${
    db.json(stages as never)
  }) as s("clinicId" text, stage text, "maxDataAge" interval)
       where not exists (
         select from clinic.sync_cursor
          where resource = 'Appointment' and succeeded_at >= now() - s."maxDataAge")
    )
    select count(*)::integer as held
      from clinic.reminder r
      join clinic.appointment a on a.id = r.appointment_id
     where r.status in ('planned', 'claimed') and r.due_at <= now() and r.expires_at > now()
       and (a.clinic_id, r.stage) in (select clinic_id, stage from stale)
  `;
  return row?.held ?? 0;
}
