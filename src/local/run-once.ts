import type postgres from "postgres";
import { setTimeout as sleep } from "node:timers/promises";
import type { Local } from "./start-services.ts";

const RUNS_MAX = 20;
const SETTLE_TIMEOUT_MS = 120_000;
/** A real provider's receipts cannot reach a laptop; the sandbox's come at once. */
const RECEIPT_TIMEOUT_MS = 5_000;
const POLL_MS = 100;

type Row = { channel: string; status: string; reason: string | null; count: number };

/** Runs the whole path once and says what came of it. True when all that was due has been delivered, or rightly held back. */
export async function runOnce(
  { sql, sandbox, importAppointments, runReminders }: Local,
  print: (line: string) => void,
): Promise<boolean> {
  const [{ startedAt } = { startedAt: new Date() }] = await sql<{ startedAt: Date }[]>`
    select clock_timestamp() as started_at
  `;
  const imported = await importAppointments();
  print(
    `Imported   ${imported.appointments} appointments (${imported.changed} new or changed), ` +
      `${imported.patients} patients; ${imported.unusable} resources could not be used`,
  );

  const total = { claimed: 0, forwarded: 0, deferred: 0, skipped: 0, failed: 0 };
  for (let run = 0; run < RUNS_MAX; run += 1) {
    const counts = await runReminders();
    for (const name of Object.keys(total) as (keyof typeof total)[]) total[name] += counts[name];
    if (counts.claimed === 0) break;
  }
  print(
    `Reminders  ${total.forwarded} due and forwarded, ${total.deferred} deferred, ` +
      `${total.skipped} skipped, ${total.failed} failed`,
  );

  const settled = await untilSettled(sql);
  const rows = await countOutcomes(sql, startedAt);
  for (const message of sandbox?.messages() ?? []) {
    const title = message.subject === undefined ? "" : `${message.subject} | `;
    print(
      `  ${message.channel.padEnd(5)}  ${message.to.padEnd(32)} ${title}${oneLine(message.text)}`,
    );
  }
  for (const { channel, status, reason, count } of rows) {
    print(
      `${String(count).padStart(9)}  ${channel} ${status}${reason === null ? "" : ` (${reason})`}`,
    );
  }
  if (rows.length === 0) print("Nothing was due that has not been sent before");
  if (!settled) print("Some messages did not come to an end in time");
  const failures = rows.filter(({ status }) => status.endsWith("_failure"));
  return settled && failures.length === 0 && total.failed === 0;
}

/** Waits until nothing that is due is under way. False when it takes too long. */
async function untilSettled(sql: postgres.Sql): Promise<boolean> {
  const startedAt = performance.now();
  for (;;) {
    const [{ pending, unreceipted } = { pending: 1, unreceipted: 0 }] = await sql<
      { pending: number; unreceipted: number }[]
    >`
      select count(*) filter (where status in ('queued', 'sending', 'unknown')
                                 or (status = 'scheduled' and due_at <= now()))::int as pending,
             count(*) filter (where status = 'sent' and channel = 'sms')::int as unreceipted
        from delivery.delivery
       where due_at < 'infinity'
    `;
    const elapsedMs = performance.now() - startedAt;
    if (pending === 0 && (unreceipted === 0 || elapsedMs > RECEIPT_TIMEOUT_MS)) return true;
    if (elapsedMs > SETTLE_TIMEOUT_MS) return false;
    await sleep(POLL_MS);
  }
}

async function countOutcomes(sql: postgres.Sql, since: Date): Promise<Row[]> {
  return await sql<Row[]>`
    select d.channel, d.status, d.reason, count(*)::int as count
      from delivery.delivery d
     where d.updated_at >= ${since}
     group by d.channel, d.status, d.reason
     order by count(*) desc, d.channel, d.status
  `;
}

function oneLine(text: string): string {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > 100 ? `${line.slice(0, 99)}…` : line;
}
