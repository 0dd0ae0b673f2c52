import { createHash, randomBytes } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import process from "node:process";
import { after } from "node:test";
import postgres from "postgres";
import { startEmbeddedDatabase } from "../../src/local/embedded-database.ts";
import { connectDatabase } from "../../src/shared/database/connect.ts";
import { migrate } from "../../src/shared/database/migrate.ts";

const SOURCES = new URL("../../src/shared/database/", import.meta.url);

export type TestDatabase = { url: string; sql: postgres.Sql };

/** For a test that needs several connections at once: the embedded database serves one. */
export function skipWithoutPostgres(): string | false {
  return isEmbedded() && "needs a real PostgreSQL";
}

/**
 * A migrated database of its own, dropped after the test file (or the suite) that asked for it.
 *
 * It is cloned from a template that the first caller makes; the template's name holds a hash of the migrations.
 * Where there is no PostgreSQL it is an embedded one, and the pool has one connection.
 */
export async function createTestDatabase(): Promise<TestDatabase> {
  const database = await createEmptyDatabase({ migrated: true });
  if (isEmbedded()) await migrate(database.sql);
  return database;
}

/** As createTestDatabase(), before any migration. */
export async function createEmptyDatabase(
  { migrated = false }: { migrated?: boolean } = {},
): Promise<TestDatabase> {
  if (isEmbedded()) return await createEmbeddedDatabase();
  const { DATABASE_URL } = process.env;
  if (DATABASE_URL === undefined) {
    throw new Error(
      "Cannot make a test database: DATABASE_URL is not set. Run the tests with npm test",
    );
  }
  const admin = postgres(DATABASE_URL, { max: 1, onnotice: () => {} });
  const name = `carillon_test_${randomBytes(6).toString("hex")}`;
  const template = migrated ? await createTemplate(admin, DATABASE_URL) : "template0";
  await admin.unsafe(`create database ${name} template ${template}`);

  const url = databaseUrl(DATABASE_URL, name);
  const sql = connectDatabase(url, { name: "test" });
  after(async () => {
    await sql.end({ timeout: 5 });
    await admin.unsafe(`drop database if exists ${name} with (force)`);
    await admin.end();
  });
  return { url, sql };
}

export type ServiceRole =
  | "carillon_etl"
  | "carillon_appointment_service"
  | "carillon_notification_dispatcher"
  | "carillon_worker";

/** The same database with the rights of a service, and no others. */
export function withRole(url: string, role: ServiceRole): string {
  const result = new URL(url);
  result.searchParams.set("role", role);
  return result.href;
}

function isEmbedded(): boolean {
  return process.env.CARILLON_TEST_EMBEDDED === "1";
}

async function createEmbeddedDatabase(): Promise<TestDatabase> {
  const database = await startEmbeddedDatabase(null);
  const sql = connectDatabase(database.url, { name: "test", maxConnections: 1 });
  after(async () => {
    await sql.end({ timeout: 5 });
    await database.stop();
  });
  return { url: database.url, sql };
}

async function createTemplate(admin: postgres.Sql, adminUrl: string): Promise<string> {
  const template = `carillon_template_${await hashOfMigrations()}`;
  const reserved = await admin.reserve();
  try {
    await reserved`select pg_advisory_lock(hashtext('carillon template'))`; // Test files start at once
    const [existing] = await reserved`select 1 from pg_database where datname = ${template}`;
    if (existing !== undefined) return template;
    await reserved.unsafe(`drop database if exists ${template}_new`);
    await reserved.unsafe(`create database ${template}_new`);
    const sql = connectDatabase(databaseUrl(adminUrl, `${template}_new`), { name: "template" });
    await migrate(sql);
    await sql.end();
    // Under its own name only once it is whole
    await reserved.unsafe(`alter database ${template}_new rename to ${template}`);
    return template;
  } finally {
    await reserved`select pg_advisory_unlock(hashtext('carillon template'))`;
    reserved.release();
  }
}

async function hashOfMigrations(): Promise<string> {
  const hash = createHash("sha256");
  hash.update(await readFile(new URL("roles.sql", SOURCES)));
  for (const name of (await readdir(new URL("migrations/", SOURCES))).sort()) {
    hash.update(await readFile(new URL(`migrations/${name}`, SOURCES)));
  }
  return hash.digest("hex").slice(0, 12);
}

function databaseUrl(adminUrl: string, name: string): string {
  const url = new URL(adminUrl);
  url.pathname = `/${name}`;
  return url.href;
}
