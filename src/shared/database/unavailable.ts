// Of PostgreSQL: connection exceptions, shutdown and start, too many connections, read-only (a demoted primary),
// serialization and deadlock, time-outs of locks, statements and transactions, disks. Of the client and the system: connections that fail.
const UNAVAILABLE =
  /^(08\w{3}|57P0\d|57014|53\w{3}|58\w{3}|25006|25P03|25P04|40001|40P01|55P03|CONNECTION_\w+|CONNECT_TIMEOUT|ECONN\w+|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN)$/;

/** Whether the same statement may succeed in a moment, with nothing mended by its sender. */
export function isUnavailable(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return typeof code === "string" && UNAVAILABLE.test(code);
}
