import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Reason } from "../../src/shared/domain/delivery.ts";
import { createTestDatabase } from "../support/database.ts";
import { createLeaseChecks } from "../support/lease-checks.ts";
import {
  insertDelivery,
  insertPatient,
  type NotificationRow,
  type PatientRow,
  uniqueId,
} from "../support/ledger.ts";

const { sql } = await createTestDatabase();
const { lease, assertLeased, assertEnded } = createLeaseChecks(sql);

describe("leaseDeliveries() for a patient", () => {
  async function insertFor(
    patient: Partial<PatientRow>,
    fields: Parameters<typeof insertDelivery>[1] = {},
  ): Promise<string> {
    const { id: patientId } = await insertPatient(sql, patient);
    return await insertDelivery(sql, {
      ...fields,
      notification: { patientId, ...fields.notification },
    });
  }

  const GONE: [string, Partial<PatientRow>, Reason][] = [
    ["has died", { deceased: true }, "deceased"],
    ["is no longer with the clinic", { active: false }, "inactive_patient"],
    ["has become another record", { mergedInto: "patient-2" }, "inactive_patient"],
  ];
  for (const [what, patient, reason] of GONE) {
    test(`suppresses a message to one who ${what}`, async () => {
      await assertEnded(await insertFor(patient), "suppressed", reason);
    });
  }

  async function insertPreference(
    { clinicId, patientId, ...wishes }: {
      clinicId: string;
      patientId: string;
      email?: boolean;
      sms?: boolean;
      locale?: string;
      quietFrom?: string;
      quietUntil?: string;
    },
  ): Promise<void> {
    const row = { clinicId, patientId, source: "test", ...wishes };
    await sql`insert into clinic.preference ${sql(row)}`;
  }

  test("suppresses a message by a channel that the patient does not want", async () => {
    const whose = { clinicId: uniqueId("clinic"), patientId: uniqueId("patient") };
    await insertPreference({ ...whose, sms: false, email: true });
    const sms = await insertDelivery(sql, { channel: "sms", notification: whose });
    const email = await insertDelivery(sql, { channel: "email", notification: whose });
    await assertEnded(sms, "suppressed", "opted_out");
    await assertLeased(email);
  });

  test("sends to the request's address and name, else to the patient's", async () => {
    const recipient = { email: "work@example.test" };
    const email = await insertFor({}, { channel: "email", notification: { recipient } });
    const sms = await insertFor({ phone: "+447700900555" }, { notification: { recipient } });
    const leased = [...await lease(email), ...await lease(sms)];
    assert.deepEqual(leased.map(({ address, name }) => [address, name]), [
      ["work@example.test", "Ben"],
      ["+447700900555", "Ben"],
    ]);
  });

  test("suppresses a message to one who cannot be reached", async () => {
    const id = await insertFor({ phone: null }, { notification: { recipient: null } });
    await assertEnded(id, "suppressed", "no_contact");
  });

  test("writes in the language of the request, else of the wish, else of the record", async () => {
    const clinicId = uniqueId("clinic");
    const { id: patientId } = await insertPatient(sql, { locale: "cy" });
    const insert = (locale: string | null, clinic: string) =>
      insertDelivery(sql, { notification: { clinicId: clinic, patientId, locale } });
    await insertPreference({ clinicId, patientId, locale: "fr" });
    const leased = [
      ...await lease(await insert("de", clinicId)),
      ...await lease(await insert(null, clinicId)),
      ...await lease(await insert(null, uniqueId("clinic"))),
    ];
    assert.deepEqual(leased.map(({ locale }) => locale), ["de", "fr", "cy"]);
  });

  test("suppresses a message to an address on the stop list, in whatever letters", async () => {
    const clinicId = uniqueId("clinic");
    await sql`
      insert into delivery.suppression (clinic_id, channel, address, reason, source)
      values (${clinicId}, 'email', 'ana@example.test', 'hard_bounce', 'test')`;
    const to = (fields: Partial<NotificationRow>) =>
      insertDelivery(sql, {
        channel: "email",
        notification: { clinicId, recipient: { email: "Ana@Example.TEST" }, ...fields },
      });
    await assertEnded(await to({}), "suppressed", "hard_bounce");
    await assertLeased(await to({ clinicId: uniqueId("clinic") }));
    await assertLeased(await to({ recipient: { email: "ben@example.test" } }));
  });
});
