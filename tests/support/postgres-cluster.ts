import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { after, type TestContext } from "node:test";
import postgres from "postgres";
import { findPostgres, STANDBY_NAME, startPostgres } from "../../scripts/services/postgres.ts";
import type { Server } from "../../scripts/services/server.ts";
import { connectDatabase } from "../../src/shared/database/connect.ts";
import { migrate } from "../../src/shared/database/migrate.ts";
import type { TestDatabase } from "./database.ts";
import { eventually } from "./eventually.ts";
import { createTcpProxy, type TcpProxy } from "./tcp-proxy.ts";

/** The login of the services: unlike a superuser it has limits. */
export const SERVICE_USER = "carillon";

export type PostgresCluster = {
  primary: Server;
  /** Straight at the primary, with all rights, and unlike the services' connections there even when it is read-only. */
  admin: postgres.Sql;
  /** The ledger, for the services by way of the proxy. */
  database: TestDatabase;
  /** Where CloudNativePG's -rw service would stand. The services use its URL. */
  proxy: TcpProxy;
  /** Starts a standby that every commit waits for. */
  addStandby: () => Promise<Server>;
};

/** For a test that ends and starts PostgreSQL: only installed programs can be treated so. */
export async function skipWithoutPostgresPrograms(): Promise<string | false> {
  return await findPostgres() === null && "needs PostgreSQL's programs on this machine";
}

/** A PostgreSQL of its own with an empty ledger, and a proxy before it. All of it ends after the test. */
export async function startCluster(t: TestContext): Promise<PostgresCluster> {
  const bin = await findPostgres();
  if (bin === null) throw new Error("Cannot start PostgreSQL: its programs were not found");
  const primary = await startPostgres(bin, { durable: true });
  after(() => primary.stop());
  const sql = connectDatabase(primary.url, { name: "test" });
  after(() => sql.end({ timeout: 1 }));
  const admin = postgres(primary.url, { max: 2, onnotice: () => {} });
  after(() => admin.end({ timeout: 1 }));
  await migrate(sql);
  await admin.unsafe(`
    create role ${SERVICE_USER} login in role
      carillon_etl, carillon_appointment_service, carillon_notification_dispatcher, carillon_worker;
  `);
  const proxy = await createTcpProxy(t, primary.url);
  const url = new URL(proxy.url);
  url.username = SERVICE_USER;
  return {
    primary,
    admin,
    database: { sql, url: url.href },
    proxy,
    addStandby: async () => {
      const standby = await startPostgres(bin, { durable: true, standbyOf: primary.url });
      after(() => standby.stop());
      await admin.unsafe(`alter system set synchronous_standby_names = '${STANDBY_NAME}'`);
      await admin`select pg_reload_conf()`;
      await eventually("commits wait for the standby", async () => {
        const [row] = await admin`select sync_state from pg_stat_replication`;
        return row?.sync_state === "sync";
      });
      return standby;
    },
  };
}

/** Makes a standby the primary, and starts the former primary, which was killed, as its standby: read-only (25006). */
export async function failOver(
  { primary, admin }: Pick<PostgresCluster, "primary" | "admin">,
  standby: Server,
): Promise<void> {
  const [{ folder }] = await admin<[{ folder: string }]>`
    select current_setting('data_directory') as folder`;
  await primary.kill();
  const promoting = postgres(standby.url, { max: 1 });
  await promoting`select pg_promote()`;
  await promoting.end();
  await writeFile(join(folder, "standby.signal"), "");
  await primary.restart();
}

/**
 * Ends PostgreSQL as its operator does, and waits until it has gone: SIGINT is its fast shutdown, SIGQUIT its immediate
 * one, which leaves the recovery to the next start.
 */
export async function shutDown(server: Server, signal: "SIGINT" | "SIGQUIT"): Promise<void> {
  process.kill(server.pid, signal);
  await eventually("PostgreSQL has stopped", () => {
    try {
      process.kill(server.pid, 0);
      return false;
    } catch {
      return true;
    }
  });
}

/** A server that answers every connection with one error of PostgreSQL's, and ends it. Returns its URL. */
export async function startRefusing(t: TestContext, code: string): Promise<string> {
  const fields = `SFATAL\0VFATAL\0C${code}\0Mrefused by the test\0\0`;
  const message = Buffer.alloc(5 + fields.length);
  message.write("E");
  message.writeInt32BE(4 + fields.length, 1);
  message.write(fields, 5);
  const server = createServer((socket) => {
    socket.on("error", () => {}); // The client may be gone first
    socket.once("data", () => socket.end(message));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return `postgres://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
