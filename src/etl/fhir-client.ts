import { setTimeout as sleep } from "node:timers/promises";
import type { Log } from "../shared/runtime/log.ts";
import { errorCode } from "./fhir-resources.ts";
import { requestDelayMs } from "./request-delay.ts";

/** The value of the Authorization header, null for none. It throws when the credentials are refused. */
export type Authorize = (options: { renew: boolean }) => Promise<
  | { kind: "authorized"; header: string | null }
  /** No token can be had now. */
  | { kind: "unavailable"; state: string }
>;

/** The External Patient API. */
export type Fhir = {
  /** Without a slash at the end. */
  baseUrl: string;
  authorize: Authorize;
};

export type FhirAnswer =
  | { kind: "read"; text: string; date: Date | null }
  /** Asking again would not help. `code` is the OperationOutcome's. */
  | { kind: "refused"; status: number; code: string | null };

export type FhirGet = (url: URL) => Promise<FhirAnswer>;

export type ClientOptions = {
  fetch: typeof globalThis.fetch;
  authorize: Authorize;
  log: Log;
  signal: AbortSignal;
  pause?: (ms: number, signal: AbortSignal) => Promise<void>;
  timeoutMs?: number;
};

type Attempt =
  | FhirAnswer
  | { kind: "unauthorized" }
  | { kind: "unavailable"; state: string; retryAfter: string | null; date: Date | null };

const TRIES_MAX = 6;
const REQUEST_TIMEOUT_MS = 60_000;
const BODY_BYTES_MAX = 64 * 1024 * 1024;

/** A GET that keeps asking through time-outs, lost connections, 429 and 5xx, and renews a refused token once. */
export function createFhirGet(
  { fetch, authorize, log, signal, pause = pauseFor, timeoutMs = REQUEST_TIMEOUT_MS }:
    ClientOptions,
): FhirGet {
  async function attempt(url: URL, renew: boolean): Promise<Attempt> {
    const authorization = await authorize({ renew });
    if (authorization.kind === "unavailable") {
      return { ...authorization, retryAfter: null, date: null };
    }
    try {
      const response = await fetch(url, {
        headers: {
          accept: "application/fhir+json",
          ...(authorization.header === null ? {} : { authorization: authorization.header }),
        },
        redirect: "manual", // The token is for this server
        signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      });
      return judge(response, await readText(response));
    } catch (error) {
      return { kind: "unavailable", state: connectionState(error), retryAfter: null, date: null };
    }
  }

  return async (url) => {
    let renewed = false;
    for (let tries = 1;; tries++) {
      let answer = await attempt(url, false);
      if (answer.kind === "unauthorized" && !renewed) {
        renewed = true;
        answer = await attempt(url, true);
      }
      throwIfStopped(signal);
      if (answer.kind === "unauthorized") return { kind: "refused", status: 401, code: null };
      if (answer.kind !== "unavailable") return answer;
      if (tries === TRIES_MAX) {
        throw new Error(
          `Cannot read from the patient API ${url.origin}: ${answer.state}, ${TRIES_MAX} times in a row`,
        );
      }
      const { state, retryAfter, date } = answer;
      const now = date ?? new Date();
      const waitMs = requestDelayMs({ attempt: tries, retryAfter, now, random: Math.random() });
      log.warn("the patient API is unavailable", { state, tries, waitMs: Math.round(waitMs) });
      await pause(waitMs, signal);
      throwIfStopped(signal);
    }
  };
}

function judge({ status, headers }: Response, text: string | null): Attempt {
  if (text === null) return { kind: "refused", status, code: "the body is over 64 MiB" };
  const time = Date.parse(headers.get("date") ?? "");
  const date = Number.isNaN(time) ? null : new Date(time);
  if (status === 200) return { kind: "read", text, date };
  if (status === 401) return { kind: "unauthorized" };
  if (status === 429 || status >= 500) {
    const state = `HTTP ${status}`;
    return { kind: "unavailable", state, retryAfter: headers.get("retry-after"), date };
  }
  return { kind: "refused", status, code: errorCode(parseJson(text)) };
}

/** Undefined for what is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Null when it is beyond what is read. */
async function readText(response: Response): Promise<string | null> {
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > BODY_BYTES_MAX) return null;
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

/** What may be said of a failed request: its message may quote the URL or more. */
export function connectionState(error: unknown): string {
  if (!(error instanceof Error)) return "no answer";
  const { code } = (error.cause ?? {}) as { code?: unknown };
  return `no answer (${typeof code === "string" ? code : error.name})`;
}

function throwIfStopped(signal: AbortSignal): void {
  if (!signal.aborted) return;
  throw new Error(
    "Cannot finish the import: it was asked to stop. What was stored stays, the next import reads the rest",
  );
}

async function pauseFor(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {}); // Aborting ends the pause early
}
