import { mkdir } from "node:fs/promises";
import { PGlite } from "@electric-sql/pglite";
import { PGLiteSocketServer } from "@electric-sql/pglite-socket";

export type EmbeddedDatabase = {
  url: string;
  maxConnections: number;
  stop: () => Promise<void>;
};

/**
 * Starts PostgreSQL inside this process and returns the URL it listens on.
 *
 * `directory` keeps the data; null keeps it in memory. It serves one connection: PGlite is a single backend, and two
 * connections would mix up each other's prepared statements. So everything in the process shares a pool of one.
 */
export async function startEmbeddedDatabase(directory: string | null): Promise<EmbeddedDatabase> {
  if (directory !== null) await mkdir(directory, { recursive: true });
  const db = await PGlite.create(directory ?? "memory://");
  const server = new PGLiteSocketServer({ db, host: "127.0.0.1", port: 0, maxConnections: 1 });
  await server.start();
  return {
    maxConnections: 1,
    url: `postgres://postgres@${server.getServerConn()}/postgres`,
    stop: async () => {
      await server.stop();
      await db.close();
    },
  };
}
