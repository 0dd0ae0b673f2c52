import { setTimeout as sleep } from "node:timers/promises";
import { isUnavailable } from "./unavailable.ts";

const PAUSE_MS = 200;

/** Does `work` again while the database is away, for up to `timeoutMs`. The work must bear being done twice. */
export async function retryWhileUnavailable<Result>(
  work: () => Promise<Result>,
  { timeoutMs }: { timeoutMs: number },
): Promise<Result> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!isUnavailable(error) || performance.now() + PAUSE_MS > deadline) throw error;
      await sleep(PAUSE_MS);
    }
  }
}
