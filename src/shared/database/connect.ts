import postgres from "postgres";

/** What a query function needs. The pool and a transaction both have it. */
export type Db = postgres.ISql;

export type ConnectOptions = {
  /** Shown in pg_stat_activity. */
  name: string;
  maxConnections?: number;
};

const CONNECT_TIMEOUT_SECONDS = 2;
const RECONNECT_PAUSE_SECONDS = 0.1;
const CONNECTION_LIFETIME_SECONDS = 30 * 60;
const STATEMENT_TIMEOUT_MS = 30_000;

export function connectDatabase(
  url: string,
  { name, maxConnections = 10 }: ConnectOptions,
): postgres.Sql {
  return postgres(url, {
    max: maxConnections,
    // The default backoff grows to 20 s and is shared by the pool: calls hung 12 s after a restart of 1 s
    backoff: () => RECONNECT_PAUSE_SECONDS,
    connect_timeout: CONNECT_TIMEOUT_SECONDS,
    // A connection to a demoted primary must not live for ever
    max_lifetime: CONNECTION_LIFETIME_SECONDS,
    // Column names only: `postgres.camel` would also rewrite the keys inside jsonb values
    transform: { column: { from: postgres.toCamel, to: postgres.fromCamel } },
    onnotice: () => {}, // "already exists, skipping" is not news
    connection: {
      application_name: name,
      statement_timeout: STATEMENT_TIMEOUT_MS,
      idle_in_transaction_session_timeout: STATEMENT_TIMEOUT_MS,
      TimeZone: "UTC",
    },
  });
}
