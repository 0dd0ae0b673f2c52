import type { QuietHours } from "./clinic.ts";

export type QuietHoursOptions = {
  /** IANA zone on whose wall clock the window is read. */
  zone: string;
  quiet: QuietHours | null;
  /** After this the message is of no use: waiting for the opening must end before. */
  expiresAt: Date;
  now: Date;
};

/** A message that must leave before the quiet hours begin is due this much earlier, so that it is out by then. */
const LEAD_MINUTES = 15;

/**
 * When a message wished for `at` may be sent without disturbing anybody; null when it cannot be.
 *
 * Quiet hours defer to their end. When that is too late to be of use, the message goes out shortly before they begin,
 * if that moment has not passed. The window is a matter of the wall clock, so that a change of clocks makes a night
 * longer or shorter. An end that falls in a gap moves forward; of an end that comes twice the second counts: when in
 * doubt the patient sleeps. The window includes its start and excludes its end.
 */
export function outsideQuietHours(
  at: Date,
  { zone, quiet, expiresAt, now }: QuietHoursOptions,
): Date | null {
  if (quiet === null || !isQuiet(at, zone, quiet)) return at;

  const local = zoned(at, zone);
  const from = Temporal.PlainTime.from(quiet.from);
  const until = Temporal.PlainTime.from(quiet.until);
  const time = local.toPlainTime();

  const endsToday = Temporal.PlainTime.compare(time, until) < 0;
  const opening = toDate(
    local.toPlainDate().add({ days: endsToday ? 0 : 1 }).toPlainDateTime(until)
      .toZonedDateTime(zone, { disambiguation: "later" }),
  );
  if (opening < expiresAt) return opening;

  const beganToday = Temporal.PlainTime.compare(time, from) >= 0;
  const closing = local.toPlainDate().subtract({ days: beganToday ? 0 : 1 }).toPlainDateTime(from)
    .toZonedDateTime(zone, { disambiguation: "earlier" });
  const early = toDate(closing.subtract({ minutes: LEAD_MINUTES }));
  const pulled = early > now ? early : now;
  // Quiet when the hours have begun, or leave only minutes of the day
  return isQuiet(pulled, zone, quiet) ? null : pulled;
}

/** Whether the wall clock of `zone` is within the quiet hours at that moment. */
export function isQuiet(at: Date, zone: string, quiet: QuietHours): boolean {
  const time = zoned(at, zone).toPlainTime();
  const started = Temporal.PlainTime.compare(time, quiet.from) >= 0;
  const ended = Temporal.PlainTime.compare(time, quiet.until) >= 0;
  const overnight = Temporal.PlainTime.compare(quiet.from, quiet.until) > 0;
  return overnight ? started || !ended : started && !ended;
}

function zoned(at: Date, zone: string): Temporal.ZonedDateTime {
  return Temporal.Instant.fromEpochMilliseconds(at.getTime()).toZonedDateTimeISO(zone);
}

function toDate(time: Temporal.ZonedDateTime): Date {
  return new Date(time.epochMilliseconds);
}
