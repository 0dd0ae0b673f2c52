export type DateFilter = (timeMs: number) => boolean;

const PREFIXED_DATE =
  /^(?<prefix>eq|ge|gt|le|lt)?\d{4}-\d\d-\d\d(?:T(?<time>\d\d:\d\d)(?<seconds>:\d\d(?<fraction>\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d))?$/;

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const DAY_MS = 24 * 60 * MINUTE_MS;

/**
 * A FHIR date search parameter such as `ge2026-11-22` (R4 §3.1.1.4.6), null when it cannot be read.
 *
 * A date stands for its whole day, in UTC, a time for its whole minute, second or millisecond: `gt2026-11-22` begins on the 23rd.
 */
export function parseDateFilter(value: string): DateFilter | null {
  const match = PREFIXED_DATE.exec(value);
  const from = Date.parse(value.replace(/^[a-z]+/, ""));
  if (match === null || Number.isNaN(from)) return null;

  const { prefix, time, seconds, fraction } = match.groups ?? {};
  const until = from + lengthMs({ time, seconds, fraction });
  switch (prefix) {
    case "ge":
      return (timeMs) => timeMs >= from;
    case "gt":
      return (timeMs) => timeMs >= until;
    case "le":
      return (timeMs) => timeMs < until;
    case "lt":
      return (timeMs) => timeMs < from;
    default:
      return (timeMs) => timeMs >= from && timeMs < until;
  }
}

function lengthMs(
  { time, seconds, fraction }: Record<"time" | "seconds" | "fraction", string | undefined>,
): number {
  if (time === undefined) return DAY_MS;
  if (seconds === undefined) return MINUTE_MS;
  return fraction === undefined ? SECOND_MS : 1;
}
