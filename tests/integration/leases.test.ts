import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { leaseDeliveries } from "../../src/shared/database/leases.ts";
import { createTestDatabase, skipWithoutPostgres } from "../support/database.ts";
import { createLeaseChecks, LEASE_SECONDS } from "../support/lease-checks.ts";
import {
  type DeliveryRow,
  insertAppointment,
  insertDelivery,
  insertNotification,
  minutesFromNow,
  readDelivery,
} from "../support/ledger.ts";
import { zoneWhereItIs } from "../support/wall-clock.ts";

const { sql } = await createTestDatabase();
const { lease, assertEnded, assertLeftAlone } = createLeaseChecks(sql);

const STARTS_AT = minutesFromNow(24 * 60);

describe("leaseDeliveries()", () => {
  test("hands a due delivery out with all that the provider call needs", async () => {
    const { id: appointmentId, clinicId } = await insertAppointment(sql, {
      startsAt: STARTS_AT,
      sequence: 2,
    });
    const notification = await insertNotification(sql, {
      clinicId,
      appointmentId,
      appointmentNeed: "booked",
      startsAt: STARTS_AT,
      data: { practitioner: "Dr Ruiz" },
      quietFrom: "00:00",
      quietUntil: "00:01",
      timeZone: await zoneWhereItIs(sql, "12:00"),
    });
    const id = await insertDelivery(sql, { notificationId: notification.id, channel: "email" });

    const [leased] = await lease(id);
    const { dueAt, attemptedAt, leaseUntil } = await readDelivery(sql, id);
    assert.deepEqual({ ...leased }, {
      id,
      task: "send",
      probe: false,
      attempt: 1,
      failures: 0,
      enquiries: 0,
      dueAt,
      attemptedAt,
      leaseUntil,
      expiresAt: notification.expiresAt,
      channel: "email",
      mode: "live",
      notificationId: notification.id,
      senderId: `${clinicId}:email`,
      clinicId,
      template: "appointment-reminder",
      address: "ana@example.test",
      name: "Ana",
      locale: "en-GB",
      timeZone: notification.timeZone,
      data: { practitioner: "Dr Ruiz" },
      appointmentId,
      startsAt: STARTS_AT,
      appointmentZone: "Europe/London",
      appointmentSequence: 2,
      quietFrom: "00:00:00",
      quietUntil: "00:01:00",
    });
    assert.equal(leaseUntil?.getTime(), (attemptedAt?.getTime() ?? 0) + LEASE_SECONDS * 1000);
  });

  test("wakes the relay when the lease has ended, for each delivery at a time of its own", async () => {
    const ids = await Promise.all(Array.from({ length: 20 }, () => insertDelivery(sql)));
    await lease(...ids);
    const rows = await Promise.all(ids.map((id) => readDelivery(sql, id)));
    const waits = rows.map(({ wakeAt, leaseUntil }) =>
      (wakeAt?.getTime() ?? 0) - (leaseUntil?.getTime() ?? 0)
    );
    assert.ok(Math.min(...waits) >= 0 && Math.max(...waits) <= 20_000, `${waits}`);
    assert.ok(new Set(waits.map((ms) => Math.round(ms / 1_000))).size > 5, `${waits}`);
  });

  test("knows nothing of an id that is not in the ledger", async () => {
    assert.deepEqual(await lease("01890000-0000-7000-8000-000000000000"), []);
  });

  test("judges each delivery of a batch by itself", async () => {
    const expired = await insertDelivery(sql, { notification: { expiresAt: minutesFromNow(-1) } });
    const due = await insertDelivery(sql);
    assert.deepEqual((await lease(expired, due)).map(({ id }) => id), [due]);
    assert.equal((await readDelivery(sql, expired)).status, "expired");
  });

  test("ends a delivery whose time is over as too late", async () => {
    const id = await insertDelivery(sql, { notification: { expiresAt: minutesFromNow(-1) } });
    await assertEnded(id, "expired", "too_late");
  });

  test("counts a second attempt as the second", async () => {
    const id = await insertDelivery(sql, { attempt: 1, failures: 1 });
    const [leased] = await lease(id);
    assert.deepEqual([leased?.attempt, leased?.failures], [2, 1]);
  });

  test("starts the relay's patience afresh", async () => {
    const id = await insertDelivery(sql, { status: "queued", hints: 5 });
    await lease(id);
    assert.equal((await readDelivery(sql, id)).hints, 0);
  });
});

describe("leaseDeliveries() while another attempt is under way", () => {
  const UNTOUCHED: [string, Partial<DeliveryRow>][] = [
    ["one that is not due yet", { dueAt: minutesFromNow(5) }],
    ["one that waits for another delivery", { after: "01890000-0000-7000-8000-000000000000" }],
    ["one that is being sent", { status: "sending", leaseUntil: minutesFromNow(1), attempt: 1 }],
    // The call may have left: only the relay turns it into an unknown one, which is asked about
    ["one whose lease has ended", {
      status: "sending",
      leaseUntil: minutesFromNow(-1),
      attempt: 1,
    }],
    ["one that is being asked about", {
      status: "unknown",
      leaseUntil: minutesFromNow(1),
      attempt: 1,
    }],
    ["an unclear one that is not to be asked about yet", {
      status: "unknown",
      dueAt: minutesFromNow(5),
      attempt: 1,
    }],
    ["one that was sent", { status: "sent", attempt: 1 }],
    ["one that was cancelled", { status: "cancelled", reason: "operator" }],
  ];
  for (const [what, delivery] of UNTOUCHED) {
    test(`leaves alone ${what}`, async () => {
      await assertLeftAlone(await insertDelivery(sql, delivery));
    });
  }

  test("hands an unclear attempt out to be asked about, as the same attempt", async () => {
    const attemptedAt = minutesFromNow(-5);
    const id = await insertDelivery(sql, { status: "unknown", attempt: 1, attemptedAt });
    const [leased] = await lease(id);
    assert.deepEqual([leased?.task, leased?.attempt, leased?.attemptedAt], [
      "reconcile",
      1,
      attemptedAt,
    ]);
    assert.equal((await readDelivery(sql, id)).status, "unknown");
    await assertLeftAlone(id);
  });

  test("asks about an unclear attempt even when nothing may be sent any more", async () => {
    const id = await insertDelivery(sql, {
      status: "unknown",
      attempt: 1,
      notification: { expiresAt: minutesFromNow(-1), recipient: null },
    });
    assert.deepEqual((await lease(id)).map(({ task, address }) => [task, address]), [
      ["reconcile", null],
    ]);
  });

  test("asks again when the lease of the one who asked has ended", async () => {
    const id = await insertDelivery(sql, {
      status: "unknown",
      attempt: 1,
      leaseUntil: minutesFromNow(-1),
    });
    assert.deepEqual((await lease(id)).map(({ task }) => task), ["reconcile"]);
  });

  describe("by several workers", { skip: skipWithoutPostgres() }, () => {
    test("does not wait for a delivery that another is taking", async () => {
      const [taken, free] = [await insertDelivery(sql), await insertDelivery(sql)];
      await sql.begin(async (tx) => {
        await leaseDeliveries(tx, { ids: [taken], leaseSeconds: LEASE_SECONDS });
        assert.deepEqual((await lease(taken, free)).map(({ id }) => id), [free]);
      });
    });

    test("gives each delivery out once", async () => {
      const ids = await Promise.all(Array.from({ length: 40 }, () => insertDelivery(sql)));
      const answers = await Promise.all(Array.from({ length: 8 }, () => lease(...ids)));
      assert.deepEqual(answers.flat().map(({ id }) => id).sort(), ids.sort());
    });
  });
});
