import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { claimDueHints } from "../../src/shared/database/hints.ts";
import { leaseDeliveries } from "../../src/shared/database/leases.ts";
import { settleDeliveries } from "../../src/shared/database/outcomes.ts";
import type {
  Channel,
  DeliveryStatus,
  NotificationStatus,
  Reason,
} from "../../src/shared/domain/delivery.ts";
import { change } from "../../src/shared/domain/transition.ts";
import { createTestDatabase } from "../support/database.ts";
import {
  insertDelivery,
  insertNotification,
  minutesFromNow,
  readDelivery,
  readHistory,
} from "../support/ledger.ts";

const { sql } = await createTestDatabase();

async function lease(id: string): Promise<number> {
  return (await leaseDeliveries(sql, { ids: [id], leaseSeconds: 60 })).length;
}

describe("a delivery's history", () => {
  test("tells of each attempt and how it ended", async () => {
    const id = await insertDelivery(sql);
    await claimDueHints(sql, { channel: "sms", limit: 100, perSender: 100 });
    await lease(id);
    const retry = change("scheduled", { dueAt: minutesFromNow(-1), failed: true });
    await settleDeliveries(sql, [{ id, attempt: 1, ...retry, providerCode: "20429" }]);
    await lease(id);
    await settleDeliveries(sql, [{ id, attempt: 2, ...change("sent", { providerId: "SM1" }) }]);

    const events = await sql<{ status: string; attempt: number; providerCode: string | null }[]>`
      select status, attempt, provider_code from delivery.delivery_event
       where delivery_id = ${id} order by id`;
    assert.deepEqual(events.map((event) => Object.values(event)), [
      ["sending", 1, null],
      ["scheduled", 1, "20429"],
      ["sending", 2, "20429"],
      ["sent", 2, null],
    ]);
  });

  test("tells why nothing was sent", async () => {
    const id = await insertDelivery(sql, { notification: { recipient: null } });
    await lease(id);
    assert.deepEqual(await readHistory(sql, id), ["suppressed no_contact"]);
  });

  test("tells nothing of hints, and nothing where nothing has changed", async () => {
    const id = await insertDelivery(sql, { status: "queued" });
    await claimDueHints(sql, { channel: "sms", limit: 100, perSender: 100 });
    await sql`update delivery.delivery set updated_at = now() where id = ${id}`;
    assert.deepEqual(await readHistory(sql, id), []);
  });
});

describe("a delivery that waits for another", () => {
  async function insertPair(channel: Channel): Promise<{ first: string; waiting: string }> {
    const { id: notificationId } = await insertNotification(sql, { strategy: "first-success" });
    const other = channel === "sms" ? "email" : "sms";
    const first = await insertDelivery(sql, { notificationId, channel });
    const waiting = await insertDelivery(sql, { notificationId, channel: other, after: first });
    return { first, waiting };
  }

  /** Changes a delivery as some statement of a service would. */
  async function become(
    id: string,
    status: DeliveryStatus,
    reason: Reason | null = null,
  ): Promise<void> {
    const open = ["scheduled", "queued", "sending", "unknown"].includes(status);
    const row = { status, reason, wakeAt: open ? minutesFromNow(1) : null };
    await sql`update delivery.delivery set ${sql(row)} where id = ${id}`;
  }

  test("is not sent by itself", async () => {
    const { waiting } = await insertPair("sms");
    assert.equal(await lease(waiting), 0);
    const due = await claimDueHints(sql, { channel: "email", limit: 1_000, perSender: 100 });
    assert.ok(!due.some(({ id }) => id === waiting));
  });

  const ITS_TURN: [DeliveryStatus, Reason][] = [
    ["temporary_failure", "unreachable"],
    ["permanent_failure", "invalid_address"],
    ["technical_failure", "provider_error"],
    ["suppressed", "opted_out"],
    ["suppressed", "no_consent"],
    ["suppressed", "no_contact"],
    ["suppressed", "invalid_address"],
    ["suppressed", "landline"],
    ["suppressed", "hard_bounce"],
    ["suppressed", "complaint"],
  ];
  for (const [status, reason] of ITS_TURN) {
    test(`is due at once when the first is ${status}, ${reason}`, async () => {
      const { first, waiting } = await insertPair("sms");
      await become(first, status, reason);
      const { status: now, dueAt, wakeAt } = await readDelivery(sql, waiting);
      assert.deepEqual([now, wakeAt], ["scheduled", dueAt]);
      assert.equal(await lease(waiting), 1);
    });
  }

  const ENDS: [Channel, DeliveryStatus, Reason | null, string][] = [
    ["sms", "delivered", null, "cancelled superseded"],
    ["email", "sent", null, "cancelled superseded"],
    ["sms", "cancelled", "appointment_cancelled", "cancelled appointment_cancelled"],
    ["sms", "cancelled", "operator", "cancelled operator"],
    ["sms", "expired", "too_late", "expired too_late"],
    ["sms", "suppressed", "deceased", "suppressed deceased"],
    ["sms", "suppressed", "inactive_patient", "suppressed inactive_patient"],
    ["sms", "suppressed", "quiet_hours", "suppressed quiet_hours"],
  ];
  for (const [channel, status, reason, expected] of ENDS) {
    test(`ends ${expected} when the first, by ${channel}, is ${status} ${reason ?? ""}`, async () => {
      const { first, waiting } = await insertPair(channel);
      await become(first, status, reason);
      const row = await readDelivery(sql, waiting);
      assert.deepEqual([`${row.status} ${row.reason}`, row.wakeAt], [expected, null]);
      assert.deepEqual(await readHistory(sql, waiting), [expected]);
    });
  }

  test("goes on waiting while the first is on its way", async () => {
    const { first, waiting } = await insertPair("sms");
    for (const status of ["queued", "sending", "unknown", "scheduled", "sent"] as const) {
      await become(first, status);
      const { status: now, dueAt } = await readDelivery(sql, waiting);
      assert.deepEqual([now, dueAt], ["scheduled", null], `after ${status}`);
    }
  });

  test("waits for a text message's receipt, which decides", async () => {
    const arrived = await insertPair("sms");
    await become(arrived.first, "sent");
    await become(arrived.first, "delivered");
    assert.equal((await readDelivery(sql, arrived.waiting)).reason, "superseded");

    const failed = await insertPair("sms");
    await become(failed.first, "sent");
    await become(failed.first, "permanent_failure", "unreachable");
    assert.equal(await lease(failed.waiting), 1);
  });

  test("is its own once it has had its turn", async () => {
    const { first, waiting } = await insertPair("sms");
    await become(first, "technical_failure", "ambiguous_unresolved");
    assert.equal(await lease(waiting), 1);
    await become(first, "delivered"); // The receipt came after all
    assert.equal((await readDelivery(sql, waiting)).status, "sending");
  });

  test("stays cancelled when it was cancelled before", async () => {
    const { first, waiting } = await insertPair("sms");
    await become(waiting, "cancelled", "operator");
    await become(first, "permanent_failure", "unreachable");
    assert.equal((await readDelivery(sql, waiting)).status, "cancelled");
  });
});

describe("the ledger's own checks", () => {
  const REFUSED: [string, Record<string, unknown>][] = [
    ["an end without a reason", { status: "cancelled", wakeAt: null }],
    ["a reason without an end", { reason: "operator" }],
    ["an open delivery that nobody will look at", { wakeAt: null }],
    ["an ended one that the relay would look at", { status: "sent" }],
    ["a status that is not a word of ours", { status: "bounced" }],
  ];
  for (const [what, row] of REFUSED) {
    test(`refuse ${what}`, async () => {
      const id = await insertDelivery(sql);
      await assert.rejects(
        async () => await sql`update delivery.delivery set ${sql(row)} where id = ${id}`,
        { code: "23514" }, // check_violation
      );
    });
  }
});

describe("notification_status()", () => {
  const STATUSES: [DeliveryStatus[], NotificationStatus][] = [
    [["scheduled"], "scheduled"],
    [["queued"], "in_progress"],
    [["sending"], "in_progress"],
    [["unknown"], "in_progress"],
    [["sent"], "sent"],
    [["delivered"], "delivered"],
    [["temporary_failure"], "failed"],
    [["permanent_failure"], "failed"],
    [["technical_failure"], "failed"],
    [["suppressed"], "suppressed"],
    [["cancelled"], "cancelled"],
    [["expired"], "expired"],
    [["delivered", "permanent_failure"], "delivered"],
    [["delivered", "queued"], "delivered"],
    [["sent", "cancelled"], "sent"],
    [["sent", "permanent_failure"], "sent"],
    [["sent", "queued"], "in_progress"],
    [["permanent_failure", "scheduled"], "in_progress"],
    [["scheduled", "scheduled"], "scheduled"],
    [["technical_failure", "suppressed"], "failed"],
    [["expired", "suppressed"], "expired"],
    [["suppressed", "cancelled"], "suppressed"],
  ];
  for (const [deliveries, expected] of STATUSES) {
    test(`of ${deliveries.join(" and ")} is ${expected}`, async () => {
      const [row] = await sql`select delivery.notification_status(${deliveries}::text[]) as status`;
      assert.equal(row?.status, expected);
    });
  }
});
