import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DELIVERY_STATUSES, type DeliveryStatus } from "../../src/shared/domain/delivery.ts";
import type { Refused, Retry } from "../../src/shared/domain/outcome.ts";
import { afterReceipt, type Receipt, type ReceiptTarget } from "../../src/shared/domain/receipt.ts";

const NOW = new Date("2026-03-02T09:00:00Z");

const landline: Refused = {
  kind: "refused",
  status: "permanent_failure",
  reason: "landline",
  code: "30006",
};
const unreachable: Retry = { kind: "retry", reason: "unreachable", code: "30003" };

function after(receipt: Receipt, changes: Partial<ReceiptTarget> = {}, attempt = 1) {
  const target: ReceiptTarget = {
    status: "sent",
    reason: null,
    attempt: 1,
    failures: 0,
    expiresAt: new Date("2026-03-09T09:00:00Z"),
    messageFailed: false,
    ...changes,
  };
  return afterReceipt(receipt, { target, attempt, providerId: "SM1", now: NOW, random: 0.5 });
}

/** The statuses from which a receipt changes a delivery. */
function changedFrom(receipt: Receipt, changes: Partial<ReceiptTarget> = {}): DeliveryStatus[] {
  return DELIVERY_STATUSES.filter((status) => after(receipt, { ...changes, status }) !== null);
}

describe("afterReceipt()", () => {
  test("delivered beats everything but itself", () => {
    assert.deepEqual(
      changedFrom({ kind: "delivered" }),
      DELIVERY_STATUSES.filter((status) => status !== "delivered"),
    );
  });

  test("taken raises what was not known to be sent, and lowers nothing", () => {
    const open: DeliveryStatus[] = ["scheduled", "queued", "sending", "unknown"];
    const withdrawn: DeliveryStatus[] = ["suppressed", "cancelled", "expired"];
    assert.deepEqual(changedFrom({ kind: "taken" }), [...open, ...withdrawn]);
    const change = after({ kind: "taken" }, { status: "unknown" });
    assert.deepEqual([change?.status, change?.providerId], ["sent", "SM1"]);
  });

  test("taken ends the doubt about what was given up", () => {
    const given = { status: "technical_failure", reason: "ambiguous_unresolved" } as const;
    assert.equal(after({ kind: "taken" }, given)?.status, "sent");
  });

  test("taken, told after the same message failed, changes nothing", () => {
    assert.deepEqual(changedFrom({ kind: "taken" }, { messageFailed: true }), []);
  });

  test("a failure counts while nothing later is known", () => {
    const receipt: Receipt = { kind: "failed", outcome: landline };
    assert.deepEqual(changedFrom(receipt), ["sending", "unknown", "sent"]);
    const change = after(receipt);
    assert.deepEqual([change?.status, change?.reason, change?.providerCode], [
      "permanent_failure",
      "landline",
      "30006",
    ]);
  });

  test("a failure of an earlier attempt changes nothing", () => {
    assert.equal(after({ kind: "failed", outcome: landline }, { attempt: 2 }), null);
  });

  test("a message of an earlier attempt counts, for the patient has it", () => {
    for (const status of ["scheduled", "sending", "cancelled"] as const) {
      assert.equal(after({ kind: "delivered" }, { attempt: 2, status })?.status, "delivered");
    }
    assert.equal(after({ kind: "taken" }, { attempt: 2, status: "unknown" })?.status, "sent");
  });

  test("a failure that may pass is tried again, within bounds", () => {
    const receipt: Receipt = { kind: "failed", outcome: unreachable };
    const again = after(receipt);
    assert.deepEqual([again?.status, again?.failed], ["scheduled", true]);
    assert.equal(again?.dueAt?.toISOString(), "2026-03-02T09:30:00.000Z");
    const last = after(receipt, { failures: 2 });
    assert.deepEqual([last?.status, last?.reason], ["temporary_failure", "unreachable"]);
  });
});
