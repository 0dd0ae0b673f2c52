import type { AppointmentStatus } from "../domain/appointment.ts";
import type { Db } from "./connect.ts";

/** An appointment as staff may see it in a list: ids, times and statuses, no names and no contacts. */
export type ListedAppointment = {
  id: string;
  clinicId: string;
  patientId: string;
  status: AppointmentStatus;
  startsAt: Date;
  timeZone: string;
  confirmed: boolean;
  sequence: number;
  /** startsAt to the microsecond, for a cursor: a Date would cut it and show a row twice. */
  position: string;
  reminders: ListedReminder[];
};

export type ListedReminder = {
  stage: string;
  status: string;
  reason: string | null;
  dueAt: string;
  expiresAt: string;
};

export type AppointmentQuery = {
  clinicId: string;
  from: Date;
  to: Date | null;
  status: AppointmentStatus | null;
  /** The last row of the page before. */
  after: { position: string; id: string } | null;
  limit: number;
};

/** The clinic's appointments that have a time, in its order, with the reminders of that time. */
export async function listAppointments(
  db: Db,
  { clinicId, from, to, status, after, limit }: AppointmentQuery,
): Promise<ListedAppointment[]> {
  return await db<ListedAppointment[]>`
    with page as materialized (
      select id, clinic_id, patient_id, status, starts_at, time_zone, confirmed, sequence
        from clinic.appointment
       where clinic_id = ${clinicId} and starts_at >= ${from}
         and starts_at < coalesce(${to}::timestamptz, 'infinity')
         and (${status}::text is null or status = ${status})
         ${
    after === null ? db`` : db`and starts_at >= ${after.position}::text::timestamptz
         and (starts_at, id) > (${after.position}::text::timestamptz, ${after.id})`
  }
       order by starts_at, id
       limit ${limit}
    )
    select page.*, page.starts_at::text as position,
           coalesce((
             select jsonb_agg(jsonb_build_object('stage', r.stage, 'status', r.status, 'reason', r.reason,
                                                 'dueAt', r.due_at, 'expiresAt', r.expires_at) order by r.due_at)
               from clinic.reminder r
              where r.appointment_id = page.id and r.sequence = page.sequence), '[]') as reminders
      from page
     order by starts_at, id
  `;
}
