import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { bundle, type ServiceName } from "../bundle.ts";
import { guardProcesses } from "../services/guard.ts";
import { freePort } from "../services/server.ts";

export type RunningService = {
  url: string;
  /** From its start to its first yes at /readyz. */
  readyMs: number;
  /** What it holds of the machine's memory now. */
  residentBytes: () => Promise<number>;
  stop: () => Promise<void>;
};

export type ServiceEnvironment = Record<string, string | undefined>;

const READY_TIMEOUT_MS = 30_000;
const POLL_MS = 5;

/** Runs a service's bundle as its image does, on a free port, and waits until it is ready. It ends with this process. */
export async function runService(
  service: ServiceName,
  environment: ServiceEnvironment,
): Promise<RunningService> {
  const file = await bundle(service);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const startedAt = performance.now();
  const child = spawn(process.execPath, [...nodeOptions(), file], {
    env: { PATH: process.env.PATH, LOG_LEVEL: "warn", ...environment, PORT: `${port}` },
    stdio: ["ignore", "ignore", "inherit"],
    detached: true, // A process group of its own, for the guard
  });
  const pid = child.pid ?? 0;
  const guard = guardProcesses({ signal: "TERM" });
  guard.watch([pid]);
  child.unref();

  while (!await isReady(url)) {
    if (child.exitCode !== null) throw new Error(`Cannot bench: ${service} ended at its start`);
    if (performance.now() - startedAt > READY_TIMEOUT_MS) {
      throw new Error(`Cannot bench: ${service} is not ready after ${READY_TIMEOUT_MS} ms`);
    }
    await sleep(POLL_MS);
  }
  const readyMs = performance.now() - startedAt;
  return { url, readyMs, residentBytes: () => residentBytes(pid), stop: () => guard.end() };
}

/** For a profile of the services: BENCH_NODE_OPTIONS="--cpu-prof --cpu-prof-dir=/tmp/profiles". */
function nodeOptions(): string[] {
  return (process.env.BENCH_NODE_OPTIONS ?? "").split(" ").filter((option) => option !== "");
}

async function isReady(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/readyz`);
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false; // It does not listen yet
  }
}

async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}
