import { setTimeout as sleep } from "node:timers/promises";

const POLL_MS = 20;

/** Waits until `check` returns something other than undefined or false, and returns it. Fails with `what` after `timeoutMs`. */
export async function eventually<T>(
  what: string,
  check: () => T | Promise<T>,
  { timeoutMs = 15_000 }: { timeoutMs?: number } = {},
): Promise<Exclude<T, undefined | false | null>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const result = await check();
    if (result !== undefined && result !== false && result !== null) {
      return result as Exclude<T, undefined | false | null>;
    }
    if (performance.now() > deadline) {
      throw new Error(`Waited ${timeoutMs} ms in vain: ${what}`);
    }
    await sleep(POLL_MS);
  }
}
