import assert from "node:assert/strict";
import type postgres from "postgres";
import { type Lease, leaseDeliveries } from "../../src/shared/database/leases.ts";
import type { DeliveryStatus, Reason } from "../../src/shared/domain/delivery.ts";
import { readDelivery } from "./ledger.ts";

export const LEASE_SECONDS = 60;

/** What a test of leases does and asserts, on one database. */
export function createLeaseChecks(sql: postgres.Sql) {
  async function lease(...ids: string[]): Promise<Lease[]> {
    return [...await leaseDeliveries(sql, { ids, leaseSeconds: LEASE_SECONDS })];
  }

  async function assertLeased(id: string): Promise<void> {
    assert.deepEqual((await lease(id)).map((leased) => [leased.id, leased.task]), [[id, "send"]]);
    const { status, attempt } = await readDelivery(sql, id);
    assert.deepEqual({ status, attempt }, { status: "sending", attempt: 1 });
  }

  /** The delivery ends here, and nothing is sent. */
  async function assertEnded(id: string, status: DeliveryStatus, reason: Reason): Promise<void> {
    assert.deepEqual(await lease(id), []);
    const row = await readDelivery(sql, id);
    assert.deepEqual(
      [row.status, row.reason, row.wakeAt, row.leaseUntil, row.attempt],
      [status, reason, null, null, 0],
    );
  }

  /** Neither leased nor changed. */
  async function assertLeftAlone(id: string): Promise<void> {
    const before = await readDelivery(sql, id);
    assert.deepEqual(await lease(id), []);
    assert.deepEqual(await readDelivery(sql, id), before);
  }

  return { lease, assertLeased, assertEnded, assertLeftAlone };
}
