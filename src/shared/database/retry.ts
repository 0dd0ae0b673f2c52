import { type Clock, sleep, systemClock } from "../runtime/clock.ts";
import { isUnavailable } from "./unavailable.ts";

const PAUSE_MS = 200;

/** Does `work` again while the database is away, for up to `timeoutMs`. The work must bear being done twice. */
export async function retryWhileUnavailable<Result>(
  work: () => Promise<Result>,
  { timeoutMs, clock = systemClock }: { timeoutMs: number; clock?: Clock | undefined },
): Promise<Result> {
  const deadline = clock.now() + timeoutMs;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!isUnavailable(error) || clock.now() + PAUSE_MS > deadline) throw error;
      await sleep(clock, PAUSE_MS);
    }
  }
}
