import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { leaseDeliveries } from "../../src/shared/database/leases.ts";
import { skipWithoutPostgres } from "../support/database.ts";
import { createRequest, createTestDispatcher, inHours, KEYS } from "../support/dispatcher.ts";
import { insertDelivery, readDelivery, readHistory, uniqueId } from "../support/ledger.ts";

const { sql, post } = await createTestDispatcher();

async function submit(fields: Record<string, unknown> = {}) {
  return (await post("/v1/notifications", createRequest({ sendAt: inHours(1), ...fields }))).body;
}

async function setStatus(id: string, status: string): Promise<void> {
  const open = ["queued", "sending", "unknown"].includes(status);
  await sql`
    update delivery.delivery
       set status = ${status}, wake_at = case when ${open} then now() + interval '1 hour' end
     where id = ${id}`;
}

describe("POST /v1/notifications/{id}/cancel", () => {
  test("withdraws what has not been taken, and says so again", async () => {
    const { id, deliveries } = await submit({ channels: ["sms", "email"] });
    for (let time = 1; time <= 2; time += 1) {
      const { status, body } = await post(`/v1/notifications/${id}/cancel`);
      assert.equal(status, 200);
      assert.equal(body.status, "cancelled");
    }
    for (const delivery of deliveries) {
      assert.equal((await readDelivery(sql, delivery.id)).reason, "operator");
      assert.deepEqual(await readHistory(sql, delivery.id), ["cancelled operator"]);
    }
    const leases = await leaseDeliveries(sql, { ids: [deliveries[0].id], leaseSeconds: 60 });
    assert.equal(leases.length, 0);
  });

  test("withdraws a channel that waits for another", async () => {
    const { id, deliveries } = await submit({
      channels: ["sms", "email"],
      strategy: "first-success",
    });
    await setStatus(deliveries[0].id, "sending");
    const { status, body } = await post(`/v1/notifications/${id}/cancel`);
    assert.equal(status, 200);
    assert.deepEqual(body.deliveries.map((one: { status: string }) => one.status), [
      "sending",
      "cancelled",
    ]);
  });

  for (const taken of ["sending", "unknown", "sent", "delivered"]) {
    test(`leaves a message that is ${taken} alone`, async () => {
      const { id, deliveries } = await submit();
      await setStatus(deliveries[0].id, taken);
      const { status, body } = await post(`/v1/notifications/${id}/cancel`);
      assert.deepEqual([status, body.code], [409, "nothing_to_cancel"]);
      assert.equal(body.detail, `sms is ${taken}`);
      assert.equal((await readDelivery(sql, deliveries[0].id)).status, taken);
    });
  }

  test("knows no other clinic's notification", async () => {
    const { id, deliveries } = await submit();
    const answer = await post(`/v1/notifications/${id}/cancel`, undefined, { key: KEYS.ruiz });
    assert.equal(answer.status, 404);
    assert.equal((await readDelivery(sql, deliveries[0].id)).status, "scheduled");
    assert.equal((await post("/v1/notifications/none/cancel")).status, 404);
  });

  test("either finds the delivery leased or keeps it from being leased", {
    skip: skipWithoutPostgres(),
  }, async () => {
    const outcomes = await Promise.all(Array.from({ length: 30 }, async () => {
      const id = await insertDelivery(sql, { notification: { clinicId: "oak" } });
      const { notificationId } = await readDelivery(sql, id);
      const [leases, { status }] = await Promise.all([
        leaseDeliveries(sql, { ids: [id], leaseSeconds: 60 }),
        post(`/v1/notifications/${notificationId}/cancel`),
      ]);
      return `${leases.length} ${status} ${(await readDelivery(sql, id)).status}`;
    }));
    for (const outcome of outcomes) {
      assert.ok(["1 409 sending", "0 200 cancelled"].includes(outcome), outcome);
    }
  });
});

describe("POST /v1/appointments/{id}/cancel-notifications", () => {
  async function submitFor(appointmentId: string, version?: string, fields = {}) {
    const appointment = { id: appointmentId, version, startsAt: inHours(48) };
    const { deliveries } = await submit({ appointment, ...fields });
    return deliveries[0].id as string;
  }

  test("withdraws all that has not been taken, and counts the rest", async () => {
    const appointmentId = uniqueId("appointment");
    const ids = await Promise.all(Array.from({ length: 5 }, () => submitFor(appointmentId)));
    const [first = "", second = "", third = "", fourth = ""] = ids;
    await setStatus(first, "queued");
    await setStatus(second, "sending");
    await setStatus(third, "sent");
    await sql`
      update delivery.delivery set status = 'expired', reason = 'too_late', wake_at = null where id = ${fourth}`;

    const path = `/v1/appointments/${appointmentId}/cancel-notifications`;
    const { status, body } = await post(path);
    assert.equal(status, 200);
    assert.deepEqual(body, { cancelled: 2, inProgress: 1, alreadySent: 1, alreadyEnded: 1 });
    assert.equal((await readDelivery(sql, first)).reason, "appointment_cancelled");
    assert.deepEqual((await post(path, {})).body, {
      cancelled: 0,
      inProgress: 1,
      alreadySent: 1,
      alreadyEnded: 3,
    });
  });

  test("lets the message about the cancellation itself go out", async () => {
    const appointmentId = uniqueId("appointment");
    const id = await submitFor(appointmentId, "4", { template: "withdrawn", data: {} });
    await post(`/v1/appointments/${appointmentId}/cancel-notifications`);
    assert.equal((await readDelivery(sql, id)).status, "scheduled");
  });

  const versions: [told: string | undefined, now: string, status: string][] = [
    ["3", "4", "cancelled"],
    ["9", "10", "cancelled"],
    ["4", "4", "scheduled"],
    ["5", "4", "scheduled"],
    [undefined, "4", "cancelled"],
    ["W/a", "W/b", "cancelled"],
    ["W/a", "W/a", "scheduled"],
  ];
  for (const [told, now, status] of versions) {
    test(`with version ${now}, a message about version ${told ?? "none"} is ${status}`, async () => {
      const appointmentId = uniqueId("appointment");
      const id = await submitFor(appointmentId, told);
      const answer = await post(`/v1/appointments/${appointmentId}/cancel-notifications`, {
        version: now,
      });
      assert.equal(answer.status, 200);
      const delivery = await readDelivery(sql, id);
      assert.equal(delivery.status, status);
      if (status === "cancelled") assert.equal(delivery.reason, "superseded");
    });
  }

  test("touches no other clinic's messages", async () => {
    const appointmentId = uniqueId("appointment");
    const id = await submitFor(appointmentId);
    const { body } = await post(
      `/v1/appointments/${appointmentId}/cancel-notifications`,
      undefined,
      { key: KEYS.ruiz },
    );
    assert.equal(body.cancelled, 0);
    assert.equal((await readDelivery(sql, id)).status, "scheduled");
  });

  test("refuses an unknown field", async () => {
    const { status, body } = await post("/v1/appointments/a/cancel-notifications", { after: 1 });
    assert.equal(status, 400);
    assert.equal(body.errors[0].pointer, "/after");
  });
});
