/** Brings the database of DATABASE_URL up to date: `npm run migrate`. */
import process from "node:process";
import { connectDatabase } from "../src/shared/database/connect.ts";
import { migrate } from "../src/shared/database/migrate.ts";
import { databaseConfig, parseConfig } from "../src/shared/runtime/config.ts";

/** An index on a large table takes its time. */
const STATEMENT_TIMEOUT_MS = 10 * 60_000;

if (import.meta.main) {
  try {
    const { DATABASE_URL } = parseConfig(databaseConfig, process.env);
    const sql = connectDatabase(DATABASE_URL, {
      name: "migrate",
      maxConnections: 1,
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    });
    try {
      const applied = await migrate(sql);
      console.log(applied.length === 0 ? "The database is up to date" : applied.join("\n"));
    } finally {
      await sql.end();
    }
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
