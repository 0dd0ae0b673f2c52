import process from "node:process";

const LEVELS = ["debug", "info", "warn", "error"] as const;
type Level = (typeof LEVELS)[number];

/** Ids, counts, codes and durations. Never a name, an address, a text, or an error object: those carry personal data. */
export type LogFields = Record<string, string | number | boolean | null | undefined>;

export type Log = Record<Level, (message: string, fields?: LogFields) => void>;

export function createLog(
  service: string,
  { level, write = (line) => process.stdout.write(line) }: {
    level: Level;
    write?: (line: string) => void;
  },
): Log {
  const threshold = LEVELS.indexOf(level);
  const at = (name: Level) => (message: string, fields: LogFields = {}) => {
    if (LEVELS.indexOf(name) < threshold) return;
    const time = new Date().toISOString();
    write(`${JSON.stringify({ time, level: name, service, message, ...fields })}\n`);
  };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

/**
 * What may be logged of an error: its kind, its code and where it arose.
 *
 * Messages of foreign errors are left out: an SMTP refusal quotes the address, PostgreSQL quotes values, and the AMQP
 * client's errors hold recent frames.
 */
export function describeError(error: unknown): LogFields {
  if (!(error instanceof Error)) return { error: typeof error };
  const { code, routine, table_name, constraint_name, responseCode } = error as Error & {
    code?: string | number;
    routine?: string;
    table_name?: string;
    constraint_name?: string;
    responseCode?: number;
  };
  const frames = (error.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line));
  return {
    error: error.name,
    code,
    responseCode,
    routine,
    table: table_name,
    constraint: constraint_name,
    at: frames.slice(0, 3).map((line) => line.trim().replace(/\(.*\/(src|node_modules)\//, "($1/"))
      .join(" < "),
  };
}
