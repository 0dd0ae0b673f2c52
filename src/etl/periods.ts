import { Instant, type Period } from "./fhir-resources.ts";

const DAY_MS = 24 * 60 * 60_000;
const SECOND_MS = 1_000;

/** From the first instant until just after the last; null leaves a side open. */
export type Bounds = { from: Date | null; until: Date | null };

/** Null when the period cannot be read. */
export function boundsOf(period: Period | undefined): Bounds | null {
  const start = period?.start === undefined ? undefined : spanOf(period.start);
  const end = period?.end === undefined ? undefined : spanOf(period.end);
  if (start === null || end === null) return null;
  return { from: start?.from ?? null, until: end?.until ?? null };
}

/** A period that cannot be read does not cover anything. */
export function covers(period: Period | undefined, now: Date): boolean {
  const bounds = boundsOf(period);
  if (bounds === null) return false;
  const { from, until } = bounds;
  return (from === null || from <= now) && (until === null || now < until);
}

/** A FHIR dateTime may be a whole year, month or day; a period that ends with one includes all of it (R4 §2.24). */
function spanOf(dateTime: string): { from: Date; until: Date } | null {
  const match = /^(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?$/.exec(dateTime);
  if (match === null) {
    const { data } = Instant.safeParse(dateTime);
    return data === undefined ? null : { from: data, until: after(data, SECOND_MS) };
  }
  const [year, month, day] = match.slice(1).map((part) => part === undefined ? null : Number(part));
  const from = new Date(Date.UTC(year ?? 0, (month ?? 1) - 1, day ?? 1));
  if (typeof day === "number") return { from, until: after(from, DAY_MS) };
  if (typeof month === "number") return { from, until: new Date(Date.UTC(year ?? 0, month, 1)) };
  return { from, until: new Date(Date.UTC((year ?? 0) + 1, 0, 1)) };
}

function after(date: Date, ms: number): Date {
  return new Date(date.getTime() + ms);
}
