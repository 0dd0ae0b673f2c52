import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import type { Clinic } from "../../src/shared/domain/clinic.ts";
import { createTestDatabase } from "../support/database.ts";
import { clearImported, createImport } from "../support/fhir-import.ts";
import { fhirAppointment, fhirPatient, MADRID } from "../support/fhir-samples.ts";
import { startFhirServer } from "../support/fhir-server.ts";

const { sql } = await createTestDatabase();
const server = await startFhirServer();
const runImport = createImport(sql, server.baseUrl);

beforeEach(async () => {
  server.reset();
  await clearImported(sql);
});

async function readAppointment(id: string) {
  const [row] = await sql`select * from clinic.appointment where id = ${id}`;
  assert.ok(row !== undefined, `appointment ${id} is stored`);
  return row;
}

async function readPatient(id: string) {
  const [row] = await sql`select * from clinic.patient where id = ${id}`;
  assert.ok(row !== undefined, `patient ${id} is stored`);
  return row;
}

async function readUnusable(): Promise<string[]> {
  const rows = await sql<{ line: string }[]>`
    select concat_ws(' ', resource, id, reason) as line from clinic.unusable_resource order by 1`;
  return rows.map(({ line }) => line);
}

/** What the appointment service does when it has planned the reminders. */
async function markPlanned(id: string): Promise<void> {
  await sql`update clinic.appointment set planned = true where id = ${id}`;
}

describe("an import of what cannot be used", () => {
  test("records what it cannot use, takes it back from us, and clears it when it is usable again", async () => {
    server.put(fhirPatient("p1"));
    server.put(fhirAppointment("a1", { patient: "p1" }));
    server.put(fhirAppointment("a2", { patient: "p1" }));
    await runImport();
    await markPlanned("a1");

    server.put(fhirPatient("p1", { deceasedBoolean: "yes" }));
    server.put(fhirAppointment("a1", { patient: "p1", participant: [] }));
    server.put(fhirAppointment("a3", { patient: "p1", status: "postponed" }));
    server.put(fhirAppointment("a4", { patient: "absent" }));
    const { appointments } = await runImport();
    assert.equal(appointments, 2); // a2 and a4: the rest goes on
    assert.deepEqual(await readUnusable(), [
      "Appointment a1 no_patient",
      "Appointment a3 unknown_status",
      "Patient absent not_included",
      "Patient p1 invalid",
    ]);
    const { status, planned } = await readAppointment("a1");
    assert.deepEqual({ status, planned }, { status: "entered-in-error", planned: false });
    assert.equal((await readPatient("p1")).active, false);

    server.put(fhirPatient("p1"));
    server.put(fhirPatient("absent"));
    server.put(fhirAppointment("a1", { patient: "p1" }));
    server.put(fhirAppointment("a3", { patient: "p1" }));
    assert.equal((await runImport()).unusable, 0);
    assert.deepEqual(await readUnusable(), []);
    assert.equal((await readAppointment("a1")).status, "booked");
    assert.equal((await readPatient("p1")).active, true);
  });

  test("is not stopped by text that PostgreSQL refuses", async () => {
    server.put(fhirPatient("p1", { name: [{ given: ["A\u0000na \ud800"] }] }));
    server.put(fhirAppointment("a1", {
      patient: "p1",
      meta: { versionId: "\u0000", lastUpdated: "2026-11-20T08:00:00Z" },
    }));
    await runImport();
    assert.equal((await readAppointment("a1")).version, null);
    assert.equal((await readPatient("p1")).givenName, "A na \ufffd");
  });

  test("reads everything that matters again when the clinics' places have changed", async () => {
    server.put(fhirPatient("p1"));
    server.put(fhirAppointment("a1", { patient: "p1" }));
    const elsewhere: Clinic = { ...MADRID, fhirLocations: ["madrid-2"] };
    assert.equal((await runImport({ clinics: new Map([["madrid", elsewhere]]) })).unusable, 1);
    assert.deepEqual(await readUnusable(), ["Appointment a1 unknown_location"]);
    server.clock = new Date(server.clock.getTime() + 86_400_000);
    server.put(fhirAppointment("later", { patient: "p1" }));
    await runImport({ clinics: new Map([["madrid", elsewhere]]) });

    await runImport();
    assert.deepEqual(await readUnusable(), []);
    assert.equal((await readAppointment("a1")).timeZone, "Europe/Madrid");

    await markPlanned("a1");
    const moved: Clinic = { ...MADRID, timeZone: "Atlantic/Canary" };
    await runImport({ clinics: new Map([["madrid", moved]]) });
    const { timeZone, planned } = await readAppointment("a1");
    assert.deepEqual({ timeZone, planned }, { timeZone: "Atlantic/Canary", planned: false });
  });
});
