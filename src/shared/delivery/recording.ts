import type { Db } from "../database/connect.ts";
import { settleDeliveries } from "../database/outcomes.ts";
import { retryWhileUnavailable } from "../database/retry.ts";
import type { Transition } from "../domain/transition.ts";
import { createBatcher } from "../runtime/batch.ts";
import { type Clock, systemClock } from "../runtime/clock.ts";
import { BATCH_MAX, LINGER_MS } from "./leasing.ts";

/** What a call needs of its lease for being recorded, should the database go away meanwhile. */
export const RECORD_MAX_MS = 60_000;

/**
 * Records what became of attempts, many in one statement.
 *
 * Keeps trying while the database is away. When it gives up, the ledger takes the attempt for unclear by itself, and
 * what became of it is found out by asking.
 */
export function createRecording(
  sql: Db,
  clock: Clock = systemClock,
): (transition: Transition) => Promise<void> {
  return createBatcher({ max: BATCH_MAX, lingerMs: LINGER_MS, clock }, async (transitions) => {
    await retryWhileUnavailable(() => settleDeliveries(sql, transitions), {
      timeoutMs: RECORD_MAX_MS,
      clock,
    });
    return transitions.map(() => undefined);
  });
}
