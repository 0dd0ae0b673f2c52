import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import postgres from "postgres";
import { connectDatabase } from "../../src/shared/database/connect.ts";
import { migrate } from "../../src/shared/database/migrate.ts";
import { startServices } from "../services.ts";
import type { ServiceEnvironment } from "./run-service.ts";

export const TEST_KEY = "bench-test-key";
/** As the Appointment Service's: it speaks for every clinic. */
export const SERVICE_KEY = "bench-service-key";
export const CLINIC_ID = "oak";
export const CONFIG_DIR = "gitops/base/config";

/** As many as the dispatcher's pool has. */
export const DISPATCHER_CONNECTIONS = 10;

/** What is measured on: a database and a broker of its own, both keeping their promises on disk. */
export type World = {
  sql: postgres.Sql;
  databaseUrl: string;
  amqpUrl: string;
  /** What a service needs to run here. */
  environment: ServiceEnvironment;
  /** What runs, with versions. */
  description: string[];
  stop: () => Promise<void>;
};

export async function openWorld(log: (line: string) => void): Promise<World> {
  const description: string[] = [];
  const services = await startServices({
    durable: true,
    log: (line) => {
      description.push(line);
      log(line);
    },
  });
  const { databaseUrl, amqpUrl, missing } = services;
  if (databaseUrl === null || amqpUrl === null) {
    throw new Error(`Cannot bench without real services: ${missing.join("; ")}`);
  }
  const folder = await mkdtemp(join(tmpdir(), "carillon-bench-"));
  const database = await createDatabase(databaseUrl);
  const sql = connectDatabase(database.url, {
    name: "bench",
    maxConnections: DISPATCHER_CONNECTIONS,
  });
  await migrate(sql);
  return {
    sql,
    databaseUrl: database.url,
    amqpUrl,
    environment: {
      DATABASE_URL: database.url,
      AMQP_URL: amqpUrl,
      CLIENTS_FILE: await writeClients(folder),
      CONFIG_DIR,
      PUBLIC_URL: "http://localhost:8080",
      SMTP_URL: "smtp://localhost:1",
      TWILIO_ACCOUNT_SID: `AC${"0".repeat(32)}`,
      TWILIO_AUTH_TOKEN: "bench-twilio-token",
      DISPATCHER_URL: "http://localhost:8080",
      DISPATCHER_API_KEY: SERVICE_KEY,
      APPOINTMENT_SERVICE_TOKEN: "bench-operator-token",
    },
    description: [`Node ${process.version}`, ...description],
    stop: async () => {
      await sql.end({ timeout: 5 });
      await database.drop();
      await rm(folder, { recursive: true });
      await services.stop();
    },
  };
}

async function createDatabase(adminUrl: string) {
  const admin = postgres(adminUrl, { max: 1, onnotice: () => {} });
  const name = `carillon_bench_${randomBytes(4).toString("hex")}`;
  await admin.unsafe(`create database ${name}`);
  const url = new URL(adminUrl);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    drop: async () => {
      await admin.unsafe(`drop database ${name} with (force)`);
      await admin.end();
    },
  };
}

/** Both in test mode: nothing leaves. */
async function writeClients(folder: string): Promise<string> {
  const sha256 = (key: string) => createHash("sha256").update(key).digest("hex");
  const file = join(folder, "clients.yaml");
  const clients = [
    { id: "bench", clinic: CLINIC_ID, type: "test", keySha256: [sha256(TEST_KEY)] },
    { id: "bench-service", clinic: "*", type: "test", keySha256: [sha256(SERVICE_KEY)] },
  ];
  await writeFile(file, JSON.stringify({ clients })); // JSON is YAML
  return file;
}
