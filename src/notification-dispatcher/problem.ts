import type { Context } from "hono";
import { HTTPException } from "hono/http-exception";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { z } from "zod";
import { isUnavailable } from "../shared/database/unavailable.ts";
import { describeError, type Log } from "../shared/runtime/log.ts";

/** Every problem a client can meet. The codes are stable: clients decide by them. */
export const PROBLEMS = {
  malformed_json: { status: 400, title: "The body is not JSON in UTF-8" },
  invalid_request: { status: 400, title: "The request is not valid" },
  unauthorized: { status: 401, title: "No valid API key was given" },
  clinic_not_allowed: { status: 403, title: "This key is for another clinic" },
  recipient_not_allowed: {
    status: 403,
    title: "A team key reaches only the recipients on its list, given in the request",
  },
  not_found: { status: 404, title: "There is no such thing here" },
  method_not_allowed: { status: 405, title: "This path has other methods" },
  nothing_to_cancel: {
    status: 409,
    title: "All of it is on its way, or has come to its end",
  },
  too_large: { status: 413, title: "The body is too large" },
  unsupported_media_type: { status: 415, title: "The body must be application/json" },
  reference_reused: { status: 422, title: "The reference was used for another request" },
  idempotency_key_reused: {
    status: 422,
    title: "The Idempotency-Key was used for another request",
  },
  too_many_requests: { status: 429, title: "This client has too many requests under way" },
  internal: { status: 500, title: "Something went wrong on our side" },
  overloaded: { status: 503, title: "Too many requests are under way" },
  unavailable: { status: 503, title: "The service cannot do this now" },
} as const satisfies Record<string, { status: ContentfulStatusCode; title: string }>;
export type ProblemCode = keyof typeof PROBLEMS;

/** One thing that is wrong with a request. `pointer` is a JSON Pointer (RFC 6901). No message quotes a value. */
export type Fault = { pointer: string; code: string; message: string };

/** Why a request, or an item of a batch, is not done. */
export type Refusal = { code: ProblemCode; detail?: string; errors?: Fault[] };

/** The body of RFC 9457. */
export type Problem = {
  type: string;
  title: string;
  status: number;
  code: ProblemCode;
  detail: string;
  errors?: Fault[];
  requestId: string;
};

const ERRORS_MAX = 100;
const POINTER_MAX = 200;
const RETRY_AFTER_MAX_SECONDS = 5;

export function describeProblem(refusal: Refusal, requestId: string): Problem {
  const { status, title } = PROBLEMS[refusal.code];
  const { code, detail = title, errors } = refusal;
  const type = `/docs#${code}`;
  return { type, title, status, code, detail, ...errors && { errors: shorten(errors) }, requestId };
}

function shorten(errors: Fault[]): Fault[] {
  return errors.slice(0, ERRORS_MAX).map((error) => ({
    ...error,
    pointer: error.pointer.slice(0, POINTER_MAX),
  }));
}

export function sendProblem(c: Context, refusal: Refusal): Response {
  const problem = describeProblem(refusal, c.get("requestId") ?? "");
  const { status } = PROBLEMS[refusal.code];
  c.header("content-type", "application/problem+json");
  // Spread, so that clients turned away together do not come back together
  if (status === 429) c.header("retry-after", "1");
  if (status === 503) {
    c.header("retry-after", String(1 + Math.floor(Math.random() * RETRY_AFTER_MAX_SECONDS)));
  }
  return c.body(JSON.stringify(problem), status);
}

/** The one place where what was thrown becomes an answer. */
export function createErrorHandler(log: Log) {
  return (error: Error, c: Context): Response => {
    if (error instanceof HTTPException) return error.getResponse();
    const requestId = c.get("requestId");
    if (isUnavailable(error)) {
      log.warn("unavailable", { requestId, ...describeError(error) });
      return sendProblem(c, { code: "unavailable" });
    }
    log.error("request failed", { requestId, ...describeError(error) });
    return sendProblem(c, { code: "internal" });
  };
}

export function pointerTo(path: readonly PropertyKey[]): string {
  return path.map((key) => `/${String(key).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

export type Checked<Data> = { kind: "valid"; data: Data } | { kind: "invalid"; errors: Fault[] };

/** Checks input at the edge. The faults say what was expected, and never what was given. */
export function checkInput<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
): Checked<z.output<Schema>> {
  const result = schema.safeParse(value, { reportInput: true });
  if (result.success) return { kind: "valid", data: result.data };
  return { kind: "invalid", errors: result.error.issues.flatMap(toFaults) };
}

function toFaults(issue: z.core.$ZodIssue): Fault[] {
  const pointer = pointerTo(issue.path);
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.slice(0, ERRORS_MAX).map((key) => ({
        pointer: pointer + pointerTo([key]),
        code: "unknown_field",
        message: "is not a field of this request",
      }));
    case "invalid_key":
      return [{ pointer, code: "unknown_field", message: "is not a name a field can have" }];
    case "invalid_type":
    case "invalid_union":
      return [
        issue.input === undefined
          ? { pointer, code: "required", message: "is required" }
          : { pointer, code: "invalid_type", message: issue.message },
      ];
    case "custom":
      return [{ pointer, code: "invalid_value", message: issue.message }];
    default:
      return [{ pointer, code: issue.code, message: issue.message }];
  }
}
