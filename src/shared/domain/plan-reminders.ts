import { type AppointmentStatus, whyNotReminded } from "./appointment.ts";
import type { Clinic, ReminderStage } from "./clinic.ts";
import type { Reason } from "./delivery.ts";
import { outsideQuietHours } from "./quiet-hours.ts";

/** The part of a clinic's settings that reminders are planned from. */
export type ReminderPlan = Pick<Clinic, "reminders" | "quietHours" | "expiresBefore">;

export type RemindedAppointment = {
  status: AppointmentStatus;
  /** Null while nothing is agreed. */
  startsAt: Date | null;
  /** IANA zone of the place: "the day before at 09:00" is read on its wall clock. */
  timeZone: string;
  /** The patient has said that they will come. */
  confirmed: boolean;
  /** No reminder of this time of the appointment has been planned before: it is new here, or has moved. */
  firstPlan: boolean;
};

export type PlannedReminder =
  & { stage: string; dueAt: Date; expiresAt: Date }
  & (
    | { status: "planned"; reason: null }
    | {
      status: "skipped";
      reason: Extract<Reason, "too_late" | "superseded" | "already_confirmed" | "quiet_hours">;
    }
  );

/** Two reminders of one appointment within this time help nobody: the earlier is left out. */
const APART_MS = 60 * 60_000;

/**
 * What should become of each stage of the clinic's plan, seen from `now`.
 *
 * - Days are counted on the wall clock of the appointment's zone, hours are elapsed time. A wall-clock time that a change
 *   of clocks skips moves forward by the gap; of one that comes twice, the first counts (Temporal's "compatible").
 * - Only a booked appointment is reminded, and a confirmed one no more: nothing is asked of a patient who has answered.
 * - A stage that falls in quiet hours waits for their end, or goes out before them if waiting is too late.
 * - A stage already past when the appointment became known is told now, but only the latest such: see the next rule.
 *   When an appointment is planned again, past stages are omitted: they have had their turn, and a clinic that changes
 *   its plan must not remind everybody at once.
 * - Of two stages less than an hour apart only the later is planned.
 * - A stage with no time left before the reminder expires is skipped as too late, in so many words.
 */
export function planReminders(
  { appointment, plan }: { appointment: RemindedAppointment; plan: ReminderPlan },
  now: Date,
): PlannedReminder[] {
  const { startsAt, timeZone, confirmed, firstPlan } = appointment;
  if (startsAt === null || whyNotReminded(appointment.status) !== null) return [];

  const start = Temporal.Instant.fromEpochMilliseconds(startsAt.getTime())
    .toZonedDateTimeISO(timeZone);
  const expiresAt = toDate(start.subtract(plan.expiresBefore));

  const stages = plan.reminders.map((stage) => ({
    stage: stage.before,
    dueAt: toDate(dueTime(start, stage)),
    expiresAt,
  }));
  const latestFirst = stages.toSorted(byDueTimeDescending).flatMap((stage): PlannedReminder[] => {
    const { dueAt } = stage;
    if (confirmed) return [{ ...stage, status: "skipped", reason: "already_confirmed" }];
    if (now >= expiresAt || dueAt >= expiresAt) {
      return [{ ...stage, status: "skipped", reason: "too_late" }];
    }
    if (dueAt <= now && !firstPlan) return [];

    const wished = dueAt > now ? dueAt : now;
    const quiet = plan.quietHours;
    const possible = outsideQuietHours(wished, { zone: timeZone, quiet, expiresAt, now });
    if (possible === null) return [{ ...stage, status: "skipped", reason: "quiet_hours" }];
    return [{ ...stage, dueAt: possible, status: "planned", reason: null }];
  });
  // A stable sort: of stages that are all due now, the one that was due last stays first
  return keepApart(latestFirst.toSorted(byDueTimeDescending)).reverse();
}

function dueTime(start: Temporal.ZonedDateTime, stage: ReminderStage): Temporal.ZonedDateTime {
  const due = start.subtract(stage.before);
  return stage.at === undefined ? due : due.withPlainTime(stage.at);
}

/** Leaves out each planned reminder that the next one follows too closely. */
function keepApart(latestFirst: PlannedReminder[]): PlannedReminder[] {
  let next = Infinity;
  return latestFirst.map((reminder) => {
    if (reminder.status === "skipped") return reminder;
    if (next - reminder.dueAt.getTime() < APART_MS) {
      return { ...reminder, status: "skipped", reason: "superseded" };
    }
    next = reminder.dueAt.getTime();
    return reminder;
  });
}

function byDueTimeDescending(a: { dueAt: Date }, b: { dueAt: Date }): number {
  return b.dueAt.getTime() - a.dueAt.getTime();
}

function toDate(time: Temporal.ZonedDateTime): Date {
  return new Date(time.epochMilliseconds);
}
