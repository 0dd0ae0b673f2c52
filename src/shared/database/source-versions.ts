import type postgres from "postgres";
import type { Db } from "./connect.ts";

/** Which state of a resource of the clinic's system this is. */
export type SourceVersion = {
  /** FHIR meta.versionId. */
  version: string | null;
  /** FHIR meta.lastUpdated. */
  sourceUpdatedAt: Date | null;
};

/**
 * The condition that `incoming` is the state we hold or a newer one: by lastUpdated, then by a numeric versionId.
 *
 * The same state is taken again, so that a changed setting of the clinic (its zone) reaches what was stored before.
 * The arguments are names of relations in the statement.
 */
export function notOlder(
  db: Db,
  incoming: "excluded" | "t",
  stored: "a" | "p",
): postgres.PendingQuery<postgres.Row[]> {
  const [theirs, ours] = [db(incoming), db(stored)];
  return db`case
    when ${theirs}.source_updated_at <> ${ours}.source_updated_at
      then ${theirs}.source_updated_at > ${ours}.source_updated_at
    when ${theirs}.version ~ '^\\d{1,18}$' and ${ours}.version ~ '^\\d{1,18}$'
      then ${theirs}.version::bigint >= ${ours}.version::bigint
    else true
  end`;
}
