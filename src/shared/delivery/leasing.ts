import { type Lease, leaseDeliveries } from "../database/leases.ts";
import type { Db } from "../database/connect.ts";
import { retryWhileUnavailable } from "../database/retry.ts";
import { createBatcher } from "../runtime/batch.ts";

export const BATCH_MAX = 100;
export const LINGER_MS = 5;

/** Longer than a call and its record can take; as long as a crashed worker's delivery waits to be looked at. */
export const LEASE_SECONDS = 120;

const DATABASE_AWAY_MAX_MS = 10_000;

export type Held = Lease & {
  /** The lease's remaining time, reckoned from before it was asked for: never more than the ledger thinks. */
  leftMs: () => number;
  /** The database's clock, reckoned from when it had answered: never ahead of it. */
  now: () => Date;
};

/** Takes leases, many in one statement. Null: there is nothing to do for this hint, or another worker does it. */
export function createLeasing(sql: Db): (deliveryId: string) => Promise<Held | null> {
  return createBatcher({ max: BATCH_MAX, lingerMs: LINGER_MS }, async (ids) => {
    const held = await retryWhileUnavailable(() => lease(sql, ids), {
      timeoutMs: DATABASE_AWAY_MAX_MS,
    });
    // A hint that is twice in a batch is one delivery: the first has it
    return ids.map((id, index) => ids.indexOf(id) === index ? held.get(id) ?? null : null);
  });
}

async function lease(sql: Db, ids: readonly string[]): Promise<ReadonlyMap<string, Held>> {
  const askedAt = performance.now();
  const leases = await leaseDeliveries(sql, { ids, leaseSeconds: LEASE_SECONDS });
  const answeredAt = performance.now();
  const endMs = LEASE_SECONDS * 1_000;
  const leftMs = () => askedAt + endMs - performance.now();
  return new Map(leases.map((lease) => {
    const now = () => new Date(lease.leaseUntil.getTime() - endMs + performance.now() - answeredAt);
    return [lease.id, { ...lease, leftMs, now }];
  }));
}
