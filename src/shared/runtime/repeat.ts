import { setTimeout as sleep } from "node:timers/promises";

/** Calls `tick` again and again, `pauseMs` apart, until `signal` aborts. A tick is never cut short, and one that throws is reported. */
export async function repeat(
  tick: () => Promise<void>,
  { pauseMs, signal, onError }: {
    pauseMs: number;
    signal: AbortSignal;
    onError: (error: unknown) => void;
  },
): Promise<void> {
  while (!signal.aborted) {
    await tick().catch(onError);
    await sleep(pauseMs, undefined, { signal }).catch(() => {}); // Aborting ends the pause early
  }
}
