import { type Lease, leaseDeliveries } from "../database/leases.ts";
import type { Db } from "../database/connect.ts";
import { retryWhileUnavailable } from "../database/retry.ts";
import { createBatcher } from "../runtime/batch.ts";
import { type Clock, systemClock } from "../runtime/clock.ts";

export const BATCH_MAX = 100;
export const LINGER_MS = 5;

/** Longer than a call and its record can take; as long as a crashed worker's delivery waits to be looked at. */
export const LEASE_SECONDS = 120;

/** A failover takes less. After it hints are forgotten, and come again a minute later. */
export const DATABASE_AWAY_MAX_MS = 30_000;

export type Held = Lease & {
  /** The lease's remaining time, reckoned from before it was asked for: never more than the ledger thinks. */
  leftMs: () => number;
  /** The database's clock, reckoned from when it had answered: never ahead of it. */
  now: () => Date;
};

/** Takes leases, many in one statement. Null: there is nothing to do for this hint, or another worker does it. */
export function createLeasing(
  sql: Db,
  clock: Clock = systemClock,
): (deliveryId: string) => Promise<Held | null> {
  return createBatcher({ max: BATCH_MAX, lingerMs: LINGER_MS, clock }, async (ids) => {
    const held = await retryWhileUnavailable(() => lease(sql, ids, clock), {
      timeoutMs: DATABASE_AWAY_MAX_MS,
      clock,
    });
    // A hint that is twice in a batch is one delivery: the first has it
    return ids.map((id, index) => ids.indexOf(id) === index ? held.get(id) ?? null : null);
  });
}

async function lease(
  sql: Db,
  ids: readonly string[],
  clock: Clock,
): Promise<ReadonlyMap<string, Held>> {
  const askedAt = clock.now();
  const leases = await leaseDeliveries(sql, { ids, leaseSeconds: LEASE_SECONDS });
  const answeredAt = clock.now();
  const endMs = LEASE_SECONDS * 1_000;
  const leftMs = () => askedAt + endMs - clock.now();
  return new Map(leases.map((lease) => {
    const now = () => new Date(lease.leaseUntil.getTime() - endMs + clock.now() - answeredAt);
    return [lease.id, { ...lease, leftMs, now }];
  }));
}
