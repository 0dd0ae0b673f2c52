import type postgres from "postgres";
import {
  claimDueReminders,
  type ClaimedReminder,
  countHeldReminders,
  type KnownStage,
  type ReminderResult,
  settleReminders,
} from "../shared/database/reminders.ts";
import type { Clinic } from "../shared/domain/clinic.ts";
import { describeError, type Log } from "../shared/runtime/log.ts";
import type { BatchResult, ItemResult, ReminderRequest, SubmitBatch } from "./dispatcher-client.ts";
import { planAppointments } from "./plan-appointments.ts";
import type { ReminderMetrics, ReminderOutcome } from "./reminder-metrics.ts";

export type ReminderCounts = Record<ReminderOutcome, number>;

/** Trouble is the result only of a run that could do nothing at all. */
export type ReminderRun = { kind: "done"; counts: ReminderCounts } | Trouble;

export type RunDeps = {
  sql: postgres.Sql;
  clinics: ReadonlyMap<string, Clinic>;
  submit: SubmitBatch;
  metrics: ReminderMetrics;
  log: Log;
  /** Milliseconds of a clock that only goes forward. */
  clock: () => number;
  signal: AbortSignal;
  createId?: (() => string) | undefined;
};

/** Why the Dispatcher took no more reminders. */
type Trouble = { kind: "dispatcher_unavailable" } | { kind: "dispatcher_refused"; status: number };

const TEMPLATE = "appointment-reminder";
const BATCH_MAX = 200;
/** Longer than the Dispatcher's time-out and a slow commit together. */
const CLAIM_SECONDS = 60;
/** Of the run's time: the rest is for what is due already. */
const PLANNING_SHARE = 0.5;

/**
 * Plans what is new, then gives out the reminders that are due, until none is left or `budgetMs` is spent.
 *
 * Any number may run at once. What a run that died had in hand is given out by another, under the same reference.
 */
export async function runReminders(deps: RunDeps, budgetMs: number): Promise<ReminderRun> {
  const { sql, clinics, log, clock, signal, createId } = deps;
  const start = clock();
  const within = (ms: number) => () => !signal.aborted && clock() - start < ms;
  await planAppointments({ sql, clinics, createId }, within(budgetMs * PLANNING_SHARE));

  const counts = { claimed: 0, forwarded: 0, deferred: 0, skipped: 0, failed: 0 };
  const worked = () => counts.forwarded + counts.skipped + counts.failed > 0;
  let trouble: Trouble | null = null;
  try {
    trouble = await giveOutDue(deps, counts, within(budgetMs));
    counts.deferred += await countHeldReminders(sql, knownStages(clinics));
  } catch (error) {
    if (!worked()) throw error;
    log.error("reminder run cut short", describeError(error));
  }
  for (const outcome of Object.keys(counts) as ReminderOutcome[]) {
    deps.metrics.count(outcome, counts[outcome]);
  }
  return trouble === null || worked() ? { kind: "done", counts } : trouble;
}

/** Adds to `counts` as it goes, so that they hold even when a later batch throws. Returns why it stopped early, if it did. */
async function giveOutDue(
  { sql, clinics, submit, metrics, log }: RunDeps,
  counts: ReminderCounts,
  mayGoOn: () => boolean,
): Promise<Trouble | null> {
  const stages = knownStages(clinics);
  while (mayGoOn()) {
    const { claimed, skipped } = await claimDueReminders(sql, {
      stages,
      limit: BATCH_MAX,
      claimSeconds: CLAIM_SECONDS,
    });
    counts.claimed += claimed.length;
    counts.skipped += skipped;
    if (claimed.length === 0 && skipped === 0) return null;
    if (claimed.length === 0) continue;
    for (const { lateSeconds } of claimed) metrics.late(lateSeconds);

    const batch = await submit(claimed.map((reminder) => toRequest(reminder, clinics)));
    const items = batch.kind === "answered" ? batch.items : [];
    const results = claimed.map((reminder, index) => toResult(reminder, items[index], log));
    await settleReminders(sql, results);
    for (const { status } of results) counts[status === "planned" ? "deferred" : status] += 1;

    // What is given back is due at once: going on would only ask for the same again
    const trouble = findTrouble(batch, log);
    if (trouble !== null) return trouble;
  }
  return null;
}

function findTrouble(batch: BatchResult, log: Log): Trouble | null {
  switch (batch.kind) {
    case "answered":
      return batch.items.some(({ kind }) => kind === "later")
        ? { kind: "dispatcher_unavailable" }
        : null;
    case "away":
      log.warn("dispatcher unavailable", batch.cause);
      return { kind: "dispatcher_unavailable" };
    case "refused":
      log.error("dispatcher refused a batch", { status: batch.status });
      return { kind: "dispatcher_refused", status: batch.status };
  }
}

function knownStages(clinics: ReadonlyMap<string, Clinic>): KnownStage[] {
  return [...clinics.values()].flatMap(({ id, reminders, maxDataAge }) =>
    reminders.map(({ before }) => ({ clinicId: id, stage: before, maxDataAge }))
  );
}

function toRequest(
  reminder: ClaimedReminder,
  clinics: ReadonlyMap<string, Clinic>,
): ReminderRequest {
  const { appointmentId, sequence, startsAt, timeZone } = reminder;
  const clinic = clinics.get(reminder.clinicId);
  const stage = clinic?.reminders.find(({ before }) => before === reminder.stage);
  if (clinic === undefined || stage === undefined) {
    throw new Error(`Cannot forward reminder ${reminder.id}: its clinic or stage is not known`);
  }
  return {
    // One for each time the appointment has had and each stage: the Dispatcher accepts it once
    reference: `reminder:${appointmentId}:${sequence}:${reminder.stage}`,
    clinic: clinic.id,
    template: TEMPLATE,
    recipient: { patientId: reminder.patientId },
    channels: stage.channels,
    strategy: stage.strategy,
    // Without its version: the row in the database the Dispatcher shares is at least as new as this
    appointment: { id: appointmentId, startsAt: startsAt.toISOString(), timeZone },
    expiresAt: reminder.expiresAt.toISOString(),
    maxDataAge: clinic.maxDataAge,
  };
}

/** Without an answer for it, the reminder is given back. */
function toResult(
  reminder: ClaimedReminder,
  item: ItemResult = { kind: "later" },
  log: Log,
): ReminderResult {
  const { id } = reminder;
  switch (item.kind) {
    case "accepted":
      return { id, status: "forwarded", reason: null, notificationId: item.notificationId };
    case "later":
      return { id, status: "planned", reason: null, notificationId: null };
    case "refused":
      log.error("reminder refused", {
        reminderId: id,
        appointmentId: reminder.appointmentId,
        status: item.status,
        code: item.code,
      });
      // We built the request: what is wrong with it is the configuration
      return { id, status: "failed", reason: "config_error", notificationId: null };
  }
}
