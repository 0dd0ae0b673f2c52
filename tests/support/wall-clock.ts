import type { Db } from "../../src/shared/database/connect.ts";

/**
 * A time zone, in POSIX notation, in which the clock shows `time` at this moment.
 *
 * That moves the wall clock where the test wants it: the ledger's clock is the database's and cannot be set.
 */
export async function zoneWhereItIs(
  db: Db,
  time: string,
  { summerTimeTonight }: { summerTimeTonight?: "begins" | "ends" } = {},
): Promise<string> {
  const [{ now }] = await db<[{ now: Date }]>`select now()`;
  const utc = Temporal.Instant.fromEpochMilliseconds(now.getTime()).toZonedDateTimeISO("UTC");
  const ahead = utc.toPlainTime().until(time).total("minutes");
  const offset = Math.round(ahead > 720 ? ahead - 1440 : ahead < -720 ? ahead + 1440 : ahead);
  if (summerTimeTonight === undefined) return `STD${posixOffset(offset)}`;

  const tomorrow = utc.add({ minutes: offset }).add({ days: 1 }).dayOfYear - 1;
  const faraway = (tomorrow + 100) % 365;
  return summerTimeTonight === "begins"
    ? `STD${posixOffset(offset)}DST,${tomorrow}/2,${faraway}/2`
    : `STD${posixOffset(offset - 60)}DST,${faraway}/2,${tomorrow}/2`;
}

/** POSIX counts offsets westwards. */
function posixOffset(minutesEast: number): string {
  const west = Math.abs(minutesEast);
  return `${minutesEast > 0 ? "-" : "+"}${Math.floor(west / 60)}:${west % 60}`;
}
