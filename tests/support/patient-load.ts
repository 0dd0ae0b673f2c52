import { readFile } from "node:fs/promises";
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { CLINIC_KEY, type Deployment, OPERATOR_TOKEN } from "./deployment.ts";
import { notification } from "./load.ts";

/** One request, and what came of it. Times are those of `performance.now()`. */
export type Call = {
  startedAt: number;
  endedAt: number;
  /** Null: there was no answer. */
  status: number | null;
  retryAfter: string | null;
};

export type PatientLoad = {
  name: string;
  requested: ReadonlySet<string>;
  accepted: ReadonlySet<string>;
  /** The id that each reference was answered with. */
  ids: ReadonlyMap<string, string>;
  /** References that got an error although they were committed: the repeat found them. */
  recovered: ReadonlySet<string>;
  calls: readonly Call[];
  /** The reminder runs asked for meanwhile. */
  runs: readonly Call[];
  /** Megabytes that the Dispatchers had at most. */
  memoryMax: () => number;
  /** Asks for no more, and repeats what has no 202 yet until it has. */
  stop: () => Promise<void>;
};

const INTERVAL_MS = 50;
/** The least that a Retry-After asks for. */
const REPEAT_PAUSE_MS = 1_000;
const REPEATS_MAX = 100;
const CALL_MAX_MS = 30_000;
const RUN_EVERY = 10;
const KEYED_EVERY = 4;

/**
 * Asks for notifications at a steady rate, and repeats each under its reference until it is accepted, as a client
 * should. Some carry an Idempotency-Key, and reminder runs go on as well: both use transactions.
 */
export function startPatientLoad(deployment: Deployment, name: string): PatientLoad {
  const requested = new Set<string>();
  const ids = new Map<string, string>();
  const recovered = new Set<string>();
  const calls: Call[] = [];
  const runs: Call[] = [];
  const underWay = new Set<Promise<void>>();
  let memoryMax = 0;

  async function submit(index: number): Promise<void> {
    const reference = `${name}-${index}`;
    requested.add(reference);
    const body = JSON.stringify(
      notification(index, index % 2 === 0 ? "email" : "sms", reference),
    );
    const headers = {
      authorization: `Bearer ${CLINIC_KEY}`,
      "content-type": "application/json",
      ...index % KEYED_EVERY === 0 ? { "idempotency-key": reference } : {},
    };
    for (let tries = 0; tries < REPEATS_MAX; tries += 1) {
      const url = `${deployment.dispatcherUrl}/v1/notifications`;
      const { call, text, replayed } = await post(url, { headers, body });
      calls.push(call);
      if (call.status === 202) {
        ids.set(reference, JSON.parse(text).id);
        if (replayed) recovered.add(reference);
        return;
      }
      await sleep(REPEAT_PAUSE_MS);
    }
  }

  async function run(): Promise<void> {
    const [service] = deployment.replicas("appointment-service");
    if (service === undefined) return;
    const headers = { authorization: `Bearer ${OPERATOR_TOKEN}` };
    const { call } = await post(`${service.url}/v1/reminder-runs`, { headers });
    runs.push(call);
    for (const { pid } of deployment.replicas("notification-dispatcher")) {
      memoryMax = Math.max(memoryMax, await megabytesOf(pid));
    }
  }

  function start(work: Promise<void>): void {
    const tracked = work.finally(() => underWay.delete(tracked));
    underWay.add(tracked);
  }

  let ticks = 0;
  const timer = setInterval(() => {
    start(submit(ticks));
    if (ticks % RUN_EVERY === 0) start(run());
    ticks += 1;
  }, INTERVAL_MS);
  return {
    name,
    requested,
    get accepted() {
      return new Set(ids.keys());
    },
    ids,
    recovered,
    calls,
    runs,
    memoryMax: () => memoryMax,
    stop: async () => {
      clearInterval(timer);
      while (underWay.size > 0) await Promise.all(underWay);
    },
  };
}

async function post(
  url: string,
  { headers, body = null }: { headers: Record<string, string>; body?: string | null },
): Promise<{ call: Call; text: string; replayed: boolean }> {
  const startedAt = performance.now();
  const signal = AbortSignal.timeout(CALL_MAX_MS);
  const response = await fetch(url, { method: "POST", headers, body, signal }).catch(() => null);
  const text = await response?.text().catch(() => "") ?? "";
  return {
    call: {
      startedAt,
      endedAt: performance.now(),
      status: response?.status ?? null,
      retryAfter: response?.headers.get("retry-after") ?? null,
    },
    text,
    replayed: response?.headers.get("idempotent-replayed") === "true",
  };
}

async function megabytesOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) / 1024;
}

/** How calls fared, in milliseconds. */
export type Stall = {
  /** The longest call before the fault: what this machine takes anyway. */
  usual: number;
  /** From when the database was back until the first 202. */
  untilAccepted: number;
  /** The longest call that began when the database was back. */
  longestSince: number;
  /** The longest call of all. */
  longest: number;
};

export function measureStall(
  calls: readonly Call[],
  { faultAt, backAt }: { faultAt: number; backAt: number },
): Stall {
  const longestOf = (some: readonly Call[]) =>
    Math.round(Math.max(...some.map(({ startedAt, endedAt }) => endedAt - startedAt)));
  const accepted = calls.filter(({ status, endedAt }) => status === 202 && endedAt >= backAt);
  return {
    usual: longestOf(calls.filter(({ endedAt }) => endedAt < faultAt)),
    untilAccepted: Math.round(Math.min(...accepted.map(({ endedAt }) => endedAt)) - backAt),
    longestSince: longestOf(calls.filter(({ startedAt }) => startedAt >= backAt)),
    longest: longestOf(calls),
  };
}
