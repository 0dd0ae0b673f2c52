import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { describe, test } from "node:test";
import { migrate } from "../../src/shared/database/migrate.ts";
import { createEmptyDatabase, skipWithoutPostgres } from "../support/database.ts";

const MIGRATIONS = new URL("../../src/shared/database/migrations/", import.meta.url);

describe("migrate()", () => {
  test("brings an empty database up to date, and then has nothing to do", async () => {
    const { sql } = await createEmptyDatabase();
    const files = (await readdir(MIGRATIONS)).sort();
    assert.deepEqual(await migrate(sql), files);
    assert.deepEqual(await migrate(sql), []);
    const applied = await sql<{ name: string }[]>`select name from public.migration order by name`;
    assert.deepEqual(applied.map(({ name }) => name), files);
  });

  test("lets several at once take turns", { skip: skipWithoutPostgres() }, async () => {
    const { sql } = await createEmptyDatabase();
    const applied = await Promise.all([migrate(sql), migrate(sql), migrate(sql)]);
    assert.deepEqual(applied.flat().sort(), (await readdir(MIGRATIONS)).sort());
  });

  test("changes nothing when one of its files fails", async () => {
    const { sql } = await createEmptyDatabase();
    await sql`create schema delivery`; // In the way of the second file
    await assert.rejects(() => migrate(sql), /schema "delivery" already exists/);
    const [left] = await sql`
      select to_regclass('public.migration') as migrations, to_regnamespace('clinic') as clinic`;
    assert.deepEqual({ ...left }, { migrations: null, clinic: null });
  });

  test("declares afresh what the services may do", async () => {
    const { sql } = await createEmptyDatabase();
    await migrate(sql);
    await sql`revoke all on clinic.patient from carillon_etl`;
    await migrate(sql);
    const [etl] =
      await sql`select has_table_privilege('carillon_etl', 'clinic.patient', 'insert') as may`;
    assert.equal(etl?.may, true);
  });
});
