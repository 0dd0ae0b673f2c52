import type postgres from "postgres";
import { v7 as uuidv7 } from "uuid";
import {
  createDispatcherClient,
  type SubmitBatch,
} from "../../src/appointment-service/dispatcher-client.ts";
import { createReminderMetrics } from "../../src/appointment-service/reminder-metrics.ts";
import { runReminders } from "../../src/appointment-service/run-reminders.ts";
import type { Clinic } from "../../src/shared/domain/clinic.ts";
import type { Queue } from "../../src/shared/messaging/queue.ts";
import { createLog } from "../../src/shared/runtime/log.ts";
import { bareClaim, perSecond } from "./bare-loops.ts";
import { collectHints } from "./hints.ts";
import { zoneWhereItIsNoon } from "./load.ts";
import type { Comparison } from "./measure.ts";
import { settleAll } from "./rows.ts";
import { CLINIC_ID, SERVICE_KEY } from "./world.ts";

const COUNT = 4_000;
/** As runReminders(). */
const BATCH = 200;
const STAGE = "P7D";
const BUDGET_MS = 60_000;

type Parts = {
  sql: postgres.Sql;
  queue: Queue;
  clinics: ReadonlyMap<string, Clinic>;
  dispatcherUrl: string;
};

/** Runs once, so that the clinics' plans are known, and makes appointments that are planned already. */
export async function createReminderComparisons(parts: Parts): Promise<Comparison[]> {
  const { sql, queue, dispatcherUrl } = parts;
  await run(parts, acceptAtOnce);
  await insertAppointments(sql);
  const bare = () => claimBare(sql);
  const submit = createDispatcherClient({ url: dispatcherUrl, apiKey: SERVICE_KEY, fetch });
  return [
    {
      name: "reminders, dispatcher at once",
      ours: async () => {
        await insertReminders(sql);
        return await run(parts, acceptAtOnce);
      },
      bare,
    },
    {
      name: "reminders, real dispatcher",
      ours: async () => {
        await insertReminders(sql);
        const rate = await run(parts, submit);
        await verifyForwarded(sql, queue);
        return rate;
      },
      bare,
    },
  ];
}

const acceptAtOnce: SubmitBatch = async (requests) => ({
  kind: "answered",
  items: requests.map(() => ({ kind: "accepted", notificationId: uuidv7() })),
});

async function run({ sql, clinics }: Parts, submit: SubmitBatch): Promise<number> {
  const [due] = await sql<[{ count: number }]>`
    select count(*)::int as count from clinic.reminder where status = 'planned' and due_at <= now()`;
  const startedAt = performance.now();
  const result = await runReminders({
    sql,
    clinics,
    submit,
    metrics: createReminderMetrics(),
    log: createLog("bench", { level: "error" }),
    clock: () => performance.now(),
    signal: new AbortController().signal,
  }, BUDGET_MS);
  const rate = perSecond(COUNT, startedAt);
  const counts = result.kind === "done" ? result.counts : null;
  if (counts?.claimed !== due.count || counts.forwarded !== due.count) {
    throw new Error(`Wrong count: ${counts?.forwarded} of ${due.count} reminders were forwarded`);
  }
  return rate;
}

async function claimBare(sql: postgres.Sql): Promise<number> {
  await insertReminders(sql);
  const rate = await bareClaim(sql, { batch: BATCH, count: COUNT });
  await sql`delete from clinic.reminder where status = 'claimed'`;
  return rate;
}

/** Each reminder made one notification, and its hint came. */
async function verifyForwarded(sql: postgres.Sql, queue: Queue): Promise<void> {
  const rows = await sql<{ id: string }[]>`
    select id from delivery.delivery where wake_at is not null`;
  if (rows.length !== COUNT) {
    throw new Error(`Wrong count: ${rows.length} deliveries for ${COUNT} reminders`);
  }
  await collectHints(queue, new Set(rows.map(({ id }) => id)));
  await settleAll(sql);
}

async function insertAppointments(sql: postgres.Sql): Promise<void> {
  await sql`
    insert into clinic.sync_cursor (resource, cursor_at, succeeded_at) values ('Appointment', now(), now())
        on conflict (resource) do update set succeeded_at = now()
  `;
  await sql`
    insert into clinic.patient (id, given_name, email, phone, locale)
    select 'bench-' || i, 'Sam', 'patient-' || i || '@patients.example.org', '+447700900123', 'en-GB'
      from generate_series(1, ${COUNT}) i
  `;
  await sql`
    insert into clinic.appointment (id, clinic_id, patient_id, status, starts_at, time_zone, planned)
    select 'bench-' || i, ${CLINIC_ID}, 'bench-' || i, 'booked', now() + interval '6 days', ${zoneWhereItIsNoon()}, true
      from generate_series(1, ${COUNT}) i
  `;
}

/** One for each appointment, due now: as if each had been moved once more. */
async function insertReminders(sql: postgres.Sql): Promise<void> {
  await sql`delete from clinic.reminder`;
  await sql`update clinic.appointment set sequence = sequence + 1`;
  await sql`
    insert into clinic.reminder (id, appointment_id, sequence, stage, due_at, expires_at)
    select gen_random_uuid(), id, sequence, ${STAGE}, now() - interval '1 minute', starts_at
      from clinic.appointment
  `;
  await sql`analyze clinic.reminder, clinic.appointment`;
}
