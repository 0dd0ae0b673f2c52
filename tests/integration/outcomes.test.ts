import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { leaseDeliveries } from "../../src/shared/database/leases.ts";
import { settleDeliveries } from "../../src/shared/database/outcomes.ts";
import { type Change, change, type Transition } from "../../src/shared/domain/transition.ts";
import { createTestDatabase } from "../support/database.ts";
import {
  type DeliveryRow,
  insertDelivery,
  minutesFromNow,
  readDelivery,
} from "../support/ledger.ts";

const { sql } = await createTestDatabase();

async function insertSending(fields: Partial<DeliveryRow> = {}): Promise<string> {
  return await insertDelivery(sql, {
    status: "sending",
    attempt: 1,
    hints: 3,
    attemptedAt: minutesFromNow(-1),
    leaseUntil: minutesFromNow(1),
    wakeAt: minutesFromNow(1),
    ...fields,
  });
}

async function settle(...transitions: Transition[]): Promise<string[]> {
  return [...await settleDeliveries(sql, transitions)];
}

/** What became of the first attempt of a delivery. */
function first(id: string, status: Change["status"], fields: Partial<Change> = {}): Transition {
  return { id, attempt: 1, ...change(status, fields) };
}

describe("settleDeliveries()", () => {
  test("records what the provider took", async () => {
    const id = await insertSending();
    assert.deepEqual(await settle(first(id, "sent", { providerId: "SM1" })), [id]);
    const { status, providerId, wakeAt, leaseUntil, hints } = await readDelivery(sql, id);
    assert.deepEqual([status, providerId, wakeAt, leaseUntil, hints], [
      "sent",
      "SM1",
      null,
      null,
      0,
    ]);
  });

  test("puts a delivery back to be tried later", async () => {
    const id = await insertSending({ failures: 1 });
    const dueAt = minutesFromNow(10);
    const retry = first(id, "scheduled", { dueAt, failed: true, providerCode: "20429" });
    assert.deepEqual(await settle(retry), [id]);
    const row = await readDelivery(sql, id);
    assert.deepEqual(
      [row.status, row.dueAt, row.wakeAt, row.failures, row.attempt, row.providerCode],
      ["scheduled", dueAt, dueAt, 2, 1, "20429"],
    );
  });

  test("keeps an unclear attempt to be asked about later", async () => {
    const id = await insertSending();
    const dueAt = minutesFromNow(1);
    assert.deepEqual(await settle(first(id, "unknown", { dueAt })), [id]);
    const { status, wakeAt, leaseUntil, enquiries } = await readDelivery(sql, id);
    assert.deepEqual([status, wakeAt, leaseUntil, enquiries], ["unknown", dueAt, null, 0]);
  });

  test("counts the enquiries about an attempt, and from nought for the next", async () => {
    const id = await insertSending({ status: "unknown", enquiries: 4 });
    const dueAt = minutesFromNow(1);
    await settle(first(id, "unknown", { dueAt, enquired: true }));
    assert.equal((await readDelivery(sql, id)).enquiries, 5);
    await settle(first(id, "scheduled", { dueAt, failed: true }));
    assert.equal((await readDelivery(sql, id)).enquiries, 0);
  });

  test("ends a delivery for good, with the reason", async () => {
    const id = await insertSending();
    const refused = { reason: "invalid_address", providerCode: "21211" } as const;
    assert.deepEqual(await settle(first(id, "permanent_failure", refused)), [id]);
    const { status, reason, providerCode, wakeAt } = await readDelivery(sql, id);
    assert.deepEqual([status, reason, providerCode, wakeAt], [
      "permanent_failure",
      "invalid_address",
      "21211",
      null,
    ]);
  });

  test("keeps the provider's id when a later answer has none", async () => {
    const id = await insertSending({ status: "unknown", providerId: "SM1" });
    await settle(first(id, "technical_failure", { reason: "provider_error" }));
    assert.equal((await readDelivery(sql, id)).providerId, "SM1");
  });

  test("records a batch, and says which of it", async () => {
    const [a, b, c] = [await insertSending(), await insertSending(), await insertSending()];
    const recorded = await settle(
      first(a, "sent", { providerId: "SM1" }),
      { ...first(b, "sent", { providerId: "SM2" }), attempt: 2 },
      first(c, "expired", { reason: "too_late" }),
    );
    assert.deepEqual(recorded.sort(), [a, c].sort());
  });

  test("does nothing for an empty batch", async () => {
    assert.deepEqual(await settle(), []);
  });

  test("does not record the result of an attempt that another has followed", async () => {
    const id = await insertSending({ attempt: 2 });
    const before = await readDelivery(sql, id);
    assert.deepEqual(await settle(first(id, "sent", { providerId: "SM1" })), []);
    assert.deepEqual(await readDelivery(sql, id), before);
  });

  test("records a result once", async () => {
    const id = await insertSending();
    assert.deepEqual(await settle(first(id, "sent", { providerId: "SM1" })), [id]);
    const before = await readDelivery(sql, id);
    assert.deepEqual(await settle(first(id, "sent", { providerId: "SM2" })), []);
    assert.deepEqual(
      await settle(first(id, "technical_failure", { reason: "provider_error" })),
      [],
    );
    assert.deepEqual(await settle(first(id, "scheduled", { dueAt: minutesFromNow(1) })), []);
    assert.deepEqual(await readDelivery(sql, id), before);
  });

  for (const status of ["unknown", "scheduled", "queued"] as const) {
    test(`records a late success of a delivery that is ${status} again, so that it is not sent twice`, async () => {
      const id = await insertSending({ status, leaseUntil: null, wakeAt: minutesFromNow(-1) });
      assert.deepEqual(await settle(first(id, "sent", { providerId: "SM1" })), [id]);
      assert.deepEqual(
        await leaseDeliveries(sql, { ids: [id], leaseSeconds: 60 }).then((l) => l.length),
        0,
      );
      const { status: settled, wakeAt } = await readDelivery(sql, id);
      assert.deepEqual([settled, wakeAt], ["sent", null]);
    });
  }

  const ENDED = [
    ["cancelled", "operator"],
    ["expired", "too_late"],
    ["suppressed", "opted_out"],
    ["technical_failure", "ambiguous_unresolved"],
  ] as const;
  for (const [status, reason] of ENDED) {
    test(`records that a delivery was sent which was ${status} meanwhile: the patient has it`, async () => {
      const id = await insertSending({ status, reason, leaseUntil: null, wakeAt: null });
      assert.deepEqual(await settle(first(id, "sent", { providerId: "SM1" })), [id]);
      const { status: settled, reason: told } = await readDelivery(sql, id);
      assert.deepEqual([settled, told], ["sent", null]);
    });
  }

  test("does not record a late failure of a delivery that is to be tried again", async () => {
    const id = await insertSending({ status: "scheduled", leaseUntil: null });
    const failure = { reason: "provider_error", providerId: "SM1" } as const;
    assert.deepEqual(await settle(first(id, "technical_failure", failure)), []);
    assert.equal((await readDelivery(sql, id)).status, "scheduled");
  });

  test("does not record the late success of a message that a receipt has reported as failed", async () => {
    const id = await insertSending({ status: "scheduled", leaseUntil: null, providerId: "SM1" });
    assert.deepEqual(await settle(first(id, "sent", { providerId: "SM1" })), []);
    assert.deepEqual(await settle(first(id, "sent", { providerId: "SM2" })), [id]);
  });

  test("never takes back what has ended", async () => {
    const id = await insertSending({
      status: "cancelled",
      reason: "operator",
      leaseUntil: null,
      wakeAt: null,
    });
    assert.deepEqual(await settle(first(id, "scheduled", { dueAt: minutesFromNow(1) })), []);
    assert.equal((await readDelivery(sql, id)).status, "cancelled");
  });
});
