import { readdir } from "node:fs/promises";
import type postgres from "postgres";
import { inTransaction } from "./transaction.ts";

const MIGRATIONS = new URL("./migrations/", import.meta.url);
const ROLES = new URL("./roles.sql", import.meta.url);

/**
 * Applies the SQL files this database has not seen yet and returns their names. All of them commit, or none does.
 * Several may run at once: they take turns. The services' rights are declared afresh each time.
 */
export async function migrate(sql: postgres.Sql): Promise<string[]> {
  return await inTransaction(sql, async (tx) => {
    await tx`select pg_advisory_xact_lock(hashtext('carillon migrate'))`;
    await tx`create table if not exists public.migration (name text primary key, applied_at timestamptz not null default now())`;

    const applied = await tx<{ name: string }[]>`select name from public.migration`;
    const seen = new Set(applied.map(({ name }) => name));
    const pending = (await readdir(MIGRATIONS)).filter((name) => !seen.has(name)).sort();

    for (const name of pending) {
      await tx.file(new URL(name, MIGRATIONS)).simple();
      await tx`insert into public.migration (name) values (${name})`;
    }
    await tx.file(ROLES).simple();
    return pending;
  });
}
