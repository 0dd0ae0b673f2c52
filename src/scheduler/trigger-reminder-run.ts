import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { describeError, type Log } from "../shared/runtime/log.ts";

export type TriggerOptions = {
  /** The Appointment Service's address. */
  url: string;
  token: string;
  fetch: typeof globalThis.fetch;
  log: Log;
  /** When it aborts, the trigger gives up. */
  signal: AbortSignal;
  /** All attempts together: the next trigger comes in a minute. */
  timeoutMs?: number;
  /** Between two attempts, where the answer does not say. */
  pauseMs?: number;
};

const Counts = z.object({
  claimed: z.int(),
  forwarded: z.int(),
  deferred: z.int(),
  skipped: z.int(),
  failed: z.int(),
});
export type ReminderCounts = z.infer<typeof Counts>;

type Attempt =
  | { kind: "done"; counts: ReminderCounts }
  | { kind: "later"; state: string; pauseMs: number | null }
  | { kind: "refused"; state: string };

const TIMEOUT_MS = 55_000;
const PAUSE_MS = 2_000;
const ATTEMPTS_MAX = 10;

/**
 * Asks the Appointment Service for one reminder run and returns its counts. Throws when there was none.
 *
 * It may be repeated freely: any number of runs give each reminder out once.
 */
export async function triggerReminderRun(
  { url, token, fetch, log, signal, timeoutMs = TIMEOUT_MS, pauseMs = PAUSE_MS }: TriggerOptions,
): Promise<ReminderCounts> {
  const endpoint = `${url.replace(/\/$/, "")}/v1/reminder-runs`;
  const deadline = performance.now() + timeoutMs;
  const within = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);

  for (let attempt = 1;; attempt += 1) {
    const result = await post({ endpoint, token, fetch, signal: within });
    if (result.kind === "done") {
      log.info("reminder run", { ...result.counts, attempts: attempt });
      return result.counts;
    }
    const pause = result.kind === "later" ? result.pauseMs ?? pauseMs : 0;
    const timeLeft = !within.aborted && performance.now() + pause < deadline;
    if (result.kind === "refused" || attempt === ATTEMPTS_MAX || !timeLeft) {
      throw new Error(`Cannot trigger a reminder run at ${endpoint}: ${result.state}`);
    }
    await sleep(pause, undefined, { signal: within }).catch(() => {}); // Aborting ends the pause early
  }
}

async function post(
  { endpoint, token, fetch, signal }: {
    endpoint: string;
    token: string;
    fetch: typeof globalThis.fetch;
    signal: AbortSignal;
  },
): Promise<Attempt> {
  try {
    const response = await fetch(endpoint, {
      method: "POST",
      headers: { authorization: `Bearer ${token}` },
      redirect: "error",
      signal,
    });
    if (response.status === 200) {
      const counts = Counts.safeParse(await response.json().catch(() => null));
      if (counts.success) return { kind: "done", counts: counts.data };
      return { kind: "refused", state: "its answer is not that of a reminder run" };
    }
    const state = await describeRefusal(response);
    if (response.status !== 503) return { kind: "refused", state };
    return { kind: "later", state, pauseMs: readRetryAfter(response.headers.get("retry-after")) };
  } catch (error) {
    const cause = error instanceof Error ? error.cause ?? error : error;
    const { error: name, code } = describeError(cause);
    const word = typeof code === "string" ? code : name;
    return { kind: "later", state: `no answer (${word})`, pauseMs: null };
  }
}

const Problem = z.object({ code: z.string().max(64), detail: z.string().max(300) });

/** The services' own problems say what to do, and quote nobody. */
async function describeRefusal(response: Response): Promise<string> {
  const problem = Problem.safeParse(await response.json().catch(() => null));
  if (!problem.success) return `it answered ${response.status}`;
  return `it answered ${response.status}, ${problem.data.code}: ${problem.data.detail}`;
}

/** Milliseconds; null when the header is missing or cannot be read. Seconds, or a date (RFC 9110 §10.2.3). */
function readRetryAfter(value: string | null): number | null {
  if (value === null) return null;
  if (/^\d{1,6}$/.test(value)) return Number(value) * 1_000;
  const ms = Date.parse(value) - Date.now();
  return Number.isNaN(ms) ? null : Math.max(0, ms);
}
