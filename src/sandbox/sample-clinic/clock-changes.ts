/** Whether the day is longer or shorter than 24 hours there. */
export function changesClocks(day: Temporal.PlainDate, timeZone: string): boolean {
  return day.toZonedDateTime(timeZone).hoursInDay !== 24;
}

/** The local date of the next change of clocks after `instant`; null where the clocks stay. */
export function nextClockChange(
  instant: Temporal.Instant,
  timeZone: string,
): Temporal.PlainDate | null {
  const change = instant.toZonedDateTimeISO(timeZone).getTimeZoneTransition("next");
  return change === null ? null : change.toPlainDate();
}

/** The day after the change before that of `day`: from then on `day` has the next one. */
export function clockChangeAnnounced(
  day: Temporal.PlainDate,
  timeZone: string,
): Temporal.PlainDate {
  const before = day.toZonedDateTime(timeZone).getTimeZoneTransition("previous");
  return (before ?? day.toZonedDateTime(timeZone)).toPlainDate().add({ days: 1 });
}
