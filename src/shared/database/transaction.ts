import postgres from "postgres";
import { isUnavailable } from "./unavailable.ts";

/**
 * Runs `work` in a transaction, and returns once it is committed. `work` awaits nothing but its own statements.
 *
 * In place of `sql.begin()` of postgres 3.4.9, which sends a rollback even when the connection is gone. That ends the
 * process, or ruins the connection for whoever has it next (porsager/postgres#1208).
 */
export async function inTransaction<Result>(
  sql: postgres.Sql,
  work: (tx: postgres.TransactionSql) => Promise<Result>,
): Promise<Result> {
  const guarded = (tx: postgres.TransactionSql) =>
    new Promise<Result>((resolve, reject) => {
      work(tx).then(resolve, (error) => {
        const lost = isUnavailable(error) && !(error instanceof postgres.PostgresError);
        // Without a connection nothing is to be rolled back, and begin() rejects by itself
        if (!lost) reject(error);
      });
    });
  return await sql.begin(guarded) as Result;
}
