import type { Context } from "hono";
import { HTTPException } from "hono/http-exception";
import type { z } from "zod";
import { isUnavailable } from "../shared/database/unavailable.ts";
import { describeError, type Log } from "../shared/runtime/log.ts";

/** Every problem a caller can meet. The codes are stable: callers decide by them. */
const PROBLEMS = {
  invalid_request: { status: 400, title: "The request is not valid" },
  unauthorized: { status: 401, title: "No valid token was given" },
  not_found: { status: 404, title: "There is no such thing here" },
  internal: { status: 500, title: "Something went wrong on our side" },
  dispatcher_refused: {
    status: 502,
    title: "The Notification Dispatcher does not accept reminders",
  },
  dispatcher_unavailable: { status: 503, title: "The Notification Dispatcher cannot be reached" },
  unavailable: { status: 503, title: "The service cannot do this now" },
} as const;
export type ProblemCode = keyof typeof PROBLEMS;

/** One wrong parameter. */
export type Fault = { parameter: string; message: string };

const RETRY_AFTER_SECONDS = "5";

/** Answers with a problem of RFC 9457. */
export function sendProblem(
  c: Context,
  code: ProblemCode,
  { detail, errors }: { detail?: string; errors?: Fault[] } = {},
): Response {
  const { status, title } = PROBLEMS[code];
  c.header("content-type", "application/problem+json");
  if (status === 401) c.header("www-authenticate", "Bearer");
  if (status === 503) c.header("retry-after", RETRY_AFTER_SECONDS);
  const problem = { type: "about:blank", title, status, code, detail: detail ?? title, errors };
  return c.body(JSON.stringify(problem), status);
}

/** The one place where what was thrown becomes an answer. */
export function createErrorHandler(log: Log) {
  return (error: Error, c: Context): Response => {
    if (error instanceof HTTPException) return error.getResponse();
    if (isUnavailable(error)) {
      log.warn("database unavailable", describeError(error));
      return sendProblem(c, "unavailable");
    }
    log.error("request failed", describeError(error));
    return sendProblem(c, "internal");
  };
}

/** Names each wrong parameter and what was expected, and never quotes what was given. */
export function toFaults(error: z.ZodError): Fault[] {
  return error.issues.flatMap((issue): Fault[] =>
    issue.code === "unrecognized_keys"
      ? issue.keys.map((key) => ({ parameter: key, message: "is not a parameter of this request" }))
      : [{ parameter: issue.path.join("."), message: issue.message }]
  );
}
