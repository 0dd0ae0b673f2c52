import type postgres from "postgres";
import type { AppointmentStatus } from "../../src/shared/domain/appointment.ts";
import type { QuietHours } from "../../src/shared/domain/clinic.ts";
import type { Channel } from "../../src/shared/domain/delivery.ts";

/** What our database knew of the clinic's patients and appointments, from one moment on. Times are microseconds. */
export type ClinicRecords = {
  at: number;
  appointments: ReadonlyMap<string, AppointmentRecord>;
  patients: ReadonlyMap<string, { gone: boolean }>;
  /** By clinic and patient: "oak patient-0". */
  choices: ReadonlyMap<string, Choice>;
  importedAt: number | null;
};
export type AppointmentRecord = {
  status: AppointmentStatus;
  startsAt: number | null;
  version: number;
};
export type Choice = Partial<Record<Channel, boolean>> & { quiet: QuietHours | null };

type Row = {
  appointments: (AppointmentRecord & { id: string })[];
  patients: { id: string; gone: boolean }[];
  choices: (Choice & { key: string })[];
  importedAt: number | null;
};

export async function readClinicRecords(sql: postgres.Sql, at: number): Promise<ClinicRecords> {
  const [row] = await sql<[Row]>`
    select coalesce((select jsonb_agg(jsonb_build_object(
                       'id', id, 'status', status, 'startsAt', extract(epoch from starts_at) * 1e6,
                       'version', version::int)) from clinic.appointment), '[]') as appointments,
           coalesce((select jsonb_agg(jsonb_build_object(
                       'id', id, 'gone', deceased or not active or merged_into is not null))
                       from clinic.patient), '[]') as patients,
           coalesce((select jsonb_agg(jsonb_build_object(
                       'key', clinic_id || ' ' || patient_id, 'email', email, 'sms', sms,
                       'quiet', case when quiet_from is not null then jsonb_build_object(
                          'from', to_char(quiet_from, 'HH24:MI'), 'until', to_char(quiet_until, 'HH24:MI')) end))
                       from clinic.preference), '[]') as choices,
           (select extract(epoch from succeeded_at) * 1e6 from clinic.sync_cursor
             where resource = 'Appointment')::float8 as imported_at`;
  return {
    at,
    appointments: new Map(row.appointments.map((one) => [one.id, one])),
    patients: new Map(row.patients.map((one) => [one.id, one])),
    choices: new Map(row.choices.map((one) => [one.key, one])),
    importedAt: row.importedAt,
  };
}

/** The records at that moment, and all that held in the time before it. */
export function recordsDuring(
  history: readonly ClinicRecords[],
  { at, beforeMicros }: { at: number; beforeMicros: number },
): ClinicRecords[] {
  const first = history.findLastIndex((records) => records.at <= at - beforeMicros);
  return history.slice(Math.max(first, 0)).filter((records) => records.at <= at);
}
