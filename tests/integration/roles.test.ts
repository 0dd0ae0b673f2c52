import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type postgres from "postgres";
import { connectDatabase } from "../../src/shared/database/connect.ts";
import { claimDueHints, rehintLost, unmarkHinted } from "../../src/shared/database/hints.ts";
import { leaseDeliveries } from "../../src/shared/database/leases.ts";
import { settleDeliveries } from "../../src/shared/database/outcomes.ts";
import { change } from "../../src/shared/domain/transition.ts";
import {
  createTestDatabase,
  type ServiceRole,
  skipWithoutPostgres,
  withRole,
} from "../support/database.ts";
import {
  insertDelivery,
  insertNotification,
  readDelivery,
  readHistory,
} from "../support/ledger.ts";

const { sql, url } = await createTestDatabase();

/** Does `work` with the rights of a service, and no others. */
async function as<T>(role: ServiceRole, work: (tx: postgres.Sql) => Promise<T>): Promise<T> {
  const result = await sql.begin(async (tx) => {
    await tx`set local role ${tx(role)}`;
    return await work(tx as unknown as postgres.Sql);
  });
  return result as T;
}

// Rights are checked whether or not a row is found
const MAY: Record<ServiceRole, string[]> = {
  carillon_etl: [
    "insert into clinic.patient (id) values ('p') on conflict (id) do update set email = null",
    "update clinic.appointment set status = 'cancelled', planned = false where false",
    "insert into clinic.sync_cursor (resource) values ('Patient') on conflict do nothing",
    "insert into clinic.unusable_resource (resource, id, reason) values ('Patient', 'p', 'r')",
    "delete from clinic.unusable_resource where false",
  ],
  carillon_appointment_service: [
    "select from clinic.patient, clinic.appointment, clinic.sync_cursor, clinic.preference",
    "select from delivery.notification, delivery.delivery, delivery.delivery_event, delivery.suppression",
    "update clinic.appointment set planned = true where false",
    "update clinic.reminder set status = 'claimed' where false",
    "insert into clinic.reminder_plan (clinic_id, plan) values ('c', 'p')",
  ],
  carillon_notification_dispatcher: [
    "select from clinic.patient, clinic.appointment, clinic.sync_cursor",
    "insert into delivery.idempotency_key (client_id, key, request_sha256) values ('c', 'k', '')",
    "insert into delivery.sender (id) values ('s')",
    "update delivery.notification set recipient = null, data = null where false",
    "delete from delivery.suppression where false",
    "insert into clinic.preference (clinic_id, patient_id, source) values ('c', 'p', 's')",
  ],
  carillon_worker: [
    "update delivery.sender set next_slot_at = now() where false",
    "insert into delivery.suppression values ('c', 'sms', '+1', 'opted_out', 's') on conflict do nothing",
  ],
};

const MAY_NOT: Record<ServiceRole, string[]> = {
  carillon_etl: [
    "select from delivery.delivery",
    "select from clinic.reminder",
    "select from clinic.preference",
    "delete from clinic.patient where false",
    "delete from clinic.appointment where false",
  ],
  carillon_appointment_service: [
    "update clinic.appointment set status = 'booked' where false",
    "update clinic.patient set email = null where false",
    "update delivery.delivery set status = 'cancelled' where false",
    "insert into delivery.suppression values ('c', 'sms', '+1', 'opted_out', 's')",
    "delete from clinic.reminder where false",
  ],
  carillon_notification_dispatcher: [
    "update clinic.appointment set status = 'cancelled' where false",
    "update clinic.patient set email = null where false",
    "select from clinic.reminder",
    "delete from delivery.notification where false",
    "update delivery.delivery_event set status = 'sent' where false",
    "delete from delivery.delivery_event where false",
  ],
  carillon_worker: [
    "insert into delivery.delivery select * from delivery.delivery where false",
    "insert into delivery.notification select * from delivery.notification where false",
    "update delivery.notification set data = null where false",
    "update clinic.appointment set status = 'booked' where false",
    "update clinic.patient set email = null where false",
    "insert into delivery.sender (id) values ('other')",
    "delete from delivery.suppression where false",
    "update delivery.delivery_event set status = 'sent' where false",
    "select from delivery.idempotency_key",
    "select from clinic.reminder",
  ],
};

const ROLES = Object.keys(MAY) as ServiceRole[];

for (const role of ROLES) {
  describe(role, () => {
    for (const statement of MAY[role]) {
      test(`may ${statement}`, async () => {
        await as(role, async (tx) => await tx.unsafe(statement));
      });
    }
    for (
      const statement of [
        ...MAY_NOT[role],
        "create table delivery.mine ()",
        "create table clinic.mine ()",
      ]
    ) {
      test(`may not ${statement}`, async () => {
        await assert.rejects(
          () => as(role, async (tx) => await tx.unsafe(statement)),
          { code: "42501" }, // insufficient_privilege
        );
      });
    }
  });
}

describe("the services' roles together", () => {
  test("take a delivery from its hint to its end, with its history and the one that waits for it", async () => {
    const { id: notificationId } = await insertNotification(sql, { strategy: "first-success" });
    const id = await insertDelivery(sql, { notificationId, channel: "email" });
    const waiting = await insertDelivery(sql, { notificationId, channel: "sms", after: id });

    await as("carillon_notification_dispatcher", async (tx) => {
      await claimDueHints(tx, { channel: "email", limit: 100, perSender: 100 });
      await unmarkHinted(tx, { ids: [], pauseSeconds: 1 });
      await rehintLost(tx, { channel: "email", limit: 10 });
    });
    const [leased] = await as(
      "carillon_worker",
      (tx) => leaseDeliveries(tx, { ids: [id], leaseSeconds: 60 }),
    );
    assert.equal(leased?.id, id);
    const sent = { id, attempt: 1, ...change("sent", { providerId: "1" }) };
    await as("carillon_worker", (tx) => settleDeliveries(tx, [sent]));

    assert.deepEqual(await readHistory(sql, id), ["sending", "sent"]);
    assert.equal((await readDelivery(sql, waiting)).reason, "superseded");
  });

  test("are what a service's login has", { skip: skipWithoutPostgres() }, async () => {
    const service = connectDatabase(withRole(url, "carillon_worker"), { name: "test" });
    try {
      const [row] = await service`select current_user as role`;
      assert.equal(row?.role, "carillon_worker");
    } finally {
      await service.end();
    }
  });
});
