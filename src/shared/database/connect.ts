import postgres from "postgres";
import { textArrays } from "./text-arrays.ts";
import { createSockets, type Sockets } from "./watched-socket.ts";

/** What a query function needs. The pool and a transaction both have it. */
export type Db = postgres.ISql;

export type ConnectOptions = {
  /** Shown in pg_stat_activity. */
  name: string;
  maxConnections?: number;
  /** How long a statement may take, a wait for a lock included. Left out: 5 s, for somebody waits. */
  statementTimeoutMs?: number;
};

const CONNECT_TIMEOUT_SECONDS = 2;
const RECONNECT_PAUSE_SECONDS = 0.1;
const CONNECTION_LIFETIME_SECONDS = 30 * 60;
const STATEMENT_TIMEOUT_MS = 5_000;
const IDLE_SECONDS = 5;
/** After the end of its time a statement has an answer, even if only that it took too long. */
const SILENCE_MS = 2_000;
/** `text[]` and `uuid[]`, the same in every PostgreSQL. */
const TEXT_ARRAYS = [1009, 2951];

/**
 * A pool whose connections lead to a primary, and that is soon rid of those that no longer do.
 *
 * Nothing waits without end: a statement has its time, and a connection that is silent for longer is given up.
 */
export function connectDatabase(
  url: string,
  { name, maxConnections = 10, statementTimeoutMs = STATEMENT_TIMEOUT_MS }: ConnectOptions,
): postgres.Sql {
  const sockets = createSockets({ silenceMaxMs: statementTimeoutMs + SILENCE_MS });
  const sql: postgres.Sql = postgres(url, {
    max: maxConnections,
    // The default backoff grows to 20 s and is shared by the pool: calls hung 12 s after a restart of 1 s
    backoff: () => RECONNECT_PAUSE_SECONDS,
    connect_timeout: CONNECT_TIMEOUT_SECONDS,
    idle_timeout: IDLE_SECONDS,
    max_lifetime: CONNECTION_LIFETIME_SECONDS,
    // After a failover the old address leads to a standby for a while
    target_session_attrs: "primary",
    // A primary that is made read-only while we are connected says so. We are elsewhere wanted
    onparameter: (parameter, value) => {
      if (parameter !== "default_transaction_read_only" || value !== "on") return;
      sql.parameters.default_transaction_read_only = false; // Or the next connection's word is no news, and not told
      sockets.endAll();
    },
    // Column names only: `postgres.camel` would also rewrite the keys inside jsonb values
    transform: { column: { from: postgres.toCamel, to: postgres.fromCamel } },
    types: textArrays(TEXT_ARRAYS),
    fetch_types: false,
    onnotice: () => {}, // "already exists, skipping" is not news
    connection: {
      application_name: name,
      statement_timeout: statementTimeoutMs,
      idle_in_transaction_session_timeout: statementTimeoutMs,
      TimeZone: "UTC",
    },
    ...socketOption(sockets),
  });
  return sql;
}

/** The client's types leave this option out. */
function socketOption({ open }: Sockets) {
  return {
    socket: (options: { host: string[]; port: number[]; path: string | false }) => {
      const { host: [host = "localhost"], port: [port = 5432], path } = options;
      return open({ host, port, path: path === false ? undefined : path });
    },
  };
}
