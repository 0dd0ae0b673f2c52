import { randomUUID } from "node:crypto";
import { beforeEach } from "node:test";
import type { Hono } from "hono";
import type postgres from "postgres";
import {
  type AppointmentServiceOptions,
  createAppointmentService,
} from "../../src/appointment-service/appointment-service.ts";
import type { ReminderCounts } from "../../src/appointment-service/run-reminders.ts";
import type { Clinic } from "../../src/shared/domain/clinic.ts";
import { createLog } from "../../src/shared/runtime/log.ts";
import { createTestDatabase } from "./database.ts";
import type { FakeDispatcher } from "./fake-dispatcher.ts";

export const TOKEN = "operator";
export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

const headers = { authorization: `Bearer ${TOKEN}` };

export function clinic(changes: Partial<Clinic> = {}): Clinic {
  return {
    id: "oak",
    name: "Oak Clinic",
    timeZone: "Europe/London",
    country: "GB",
    locales: ["en"],
    phone: "+442079460958",
    fhirLocations: [],
    senders: {},
    quietHours: null,
    reminders: [
      { before: "P7D", channels: ["email"], strategy: "all" },
      { before: "P1D", channels: ["sms", "email"], strategy: "first-success" },
      { before: "PT2H", channels: ["sms"], strategy: "all" },
    ],
    expiresBefore: "PT15M",
    maxDataAge: "PT6H",
    retentionDays: 7,
    unclearEmail: "repeat",
    ...changes,
  };
}

/** A run's answer: nothing was done, but for these. */
export function counts(changes: Partial<ReminderCounts> = {}) {
  const body = { claimed: 0, forwarded: 0, deferred: 0, skipped: 0, failed: 0, ...changes };
  return { status: 200, body };
}

/** A clock that moves on by `stepMs` whenever it is read. */
export function stepping(stepMs: number): () => number {
  let now = 0;
  return () => now += stepMs;
}

export type Answer<Body> = { status: number; body: Body };

export async function run<Body = ReminderCounts>(routes: Hono): Promise<Answer<Body>> {
  const response = await routes.request("/v1/reminder-runs", { method: "POST", headers });
  return { status: response.status, body: await response.json() as Body };
}

export async function get<Body>(routes: Hono, path: string): Promise<Answer<Body>> {
  const response = await routes.request(path, { headers });
  return { status: response.status, body: await response.json() as Body };
}

export type Desk = {
  sql: postgres.Sql;
  databaseUrl: string;
  service: (
    clinics: Clinic[],
    fake: FakeDispatcher,
    options?: Partial<AppointmentServiceOptions>,
  ) => Hono;
  /** Writes an appointment as the import does, and returns its id. */
  book: (
    appointment: { startsIn: number; clinicId?: string; status?: string },
  ) => Promise<string>;
  /** Writes `n` appointments of the clinic "oak", in twenty hours. */
  bookMany: (n: number) => Promise<void>;
  /** Changes an appointment as the import does: a new time is a new sequence. */
  change: (
    id: string,
    changes: { startsIn?: number; status?: string; confirmed?: boolean },
  ) => Promise<void>;
  /** Makes planned reminders due, as time does: the first of `stages` last. */
  letTimePass: (id: string, stages: string[]) => Promise<void>;
  /** One line for each reminder: `0 P1D planned`, in the order of their times. */
  reminders: (id: string) => Promise<string[]>;
};

/** The Appointment Service over a database of its own, emptied before each test. */
export async function openDesk(): Promise<Desk> {
  const { sql, url } = await createTestDatabase();
  beforeEach(async () => {
    await sql`truncate clinic.appointment, clinic.reminder_plan, clinic.sync_cursor, delivery.notification cascade`;
    await sql`insert into clinic.sync_cursor (resource, succeeded_at) values ('Appointment', now())`;
  });

  return {
    sql,
    databaseUrl: url,
    service: (clinics, fake, options = {}) =>
      createAppointmentService({
        sql,
        clinics: new Map(clinics.map((each) => [each.id, each])),
        dispatcher: { url: fake.url, apiKey: fake.apiKey, fetch },
        token: TOKEN,
        log: createLog("test", { level: "error", write: () => {} }),
        ...options,
      }).routes,
    book: async ({ startsIn, clinicId = "oak", status = "booked" }) => {
      const id = randomUUID();
      await sql`
        insert into clinic.appointment (id, clinic_id, patient_id, status, starts_at, time_zone)
        values (${id}, ${clinicId}, ${`patient-${id}`}, ${status}, ${new Date(
        Date.now() + startsIn,
      )}, 'Europe/London')`;
      return id;
    },
    bookMany: async (n) => {
      await sql`
        insert into clinic.appointment (id, clinic_id, patient_id, status, starts_at, time_zone)
        select 'a' || n, 'oak', 'p' || n, 'booked', now() + interval '20 hours', 'Europe/London'
          from generate_series(1, ${n}::integer) n`;
    },
    change: async (id, { startsIn, status, confirmed }) => {
      const startsAt = startsIn === undefined ? null : new Date(Date.now() + startsIn);
      await sql`
        update clinic.appointment
           set starts_at = coalesce(${startsAt}::timestamptz, starts_at),
               sequence = sequence + ${startsAt === null ? 0 : 1},
               status = coalesce(${status ?? null}, status),
               confirmed = coalesce(${confirmed ?? null}, confirmed),
               changed_at = now(), planned = false
         where id = ${id}`;
    },
    letTimePass: async (id, stages) => {
      await sql`
        update clinic.reminder
           set due_at = now() - array_position(${stages}, stage) * interval '1 second'
         where appointment_id = ${id} and stage = any(${stages}) and status = 'planned'`;
    },
    reminders: async (id) => {
      const rows = await sql<{ line: string }[]>`
        select concat_ws(' ', sequence, stage, status, reason) as line
          from clinic.reminder
         where appointment_id = ${id}
         order by sequence, array_position(array['P7D', 'P3D', 'P1D', 'PT2H'], stage)`;
      return rows.map(({ line }) => line);
    },
  };
}
