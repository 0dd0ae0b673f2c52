import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { createTestDatabase } from "../support/database.ts";
import { clearImported, createImport } from "../support/fhir-import.ts";
import { fhirAppointment, fhirPatient } from "../support/fhir-samples.ts";
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

async function storedPatients(): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`select id from clinic.patient order by id`;
  return rows.map(({ id }) => id);
}

async function countAppointments(): Promise<number> {
  const [row] = await sql<{ count: number }[]>`select count(*)::int from clinic.appointment`;
  return row?.count ?? 0;
}

async function cursorOf(resource: string): Promise<Date | null> {
  const [row] = await sql<{ cursorAt: Date | null; succeededAt: Date | null }[]>`
    select cursor_at, succeeded_at from clinic.sync_cursor where resource = ${resource}`;
  assert.equal(row === undefined, row?.succeededAt == null);
  return row?.cursorAt ?? null;
}

/** What the appointment service does when it has planned the reminders. */
async function markPlanned(id: string): Promise<void> {
  await sql`update clinic.appointment set planned = true where id = ${id}`;
}

describe("importFromFhir()", () => {
  test("stores the appointments with their patients, and counts them", async () => {
    server.put(fhirPatient("p1"));
    server.put(fhirPatient("p2"));
    server.put(fhirAppointment("a1", { patient: "p1" }));
    server.put(fhirAppointment("a2", { patient: "p1", start: "2099-12-04T08:00:00Z" }));

    const counts = await runImport();
    assert.deepEqual(counts, { pages: 2, appointments: 2, changed: 2, patients: 2, unusable: 0 });

    const { startsAt, timeZone, clinicId, confirmed, sequence, planned } = await readAppointment(
      "a1",
    );
    assert.deepEqual({ startsAt, timeZone, clinicId, confirmed, sequence, planned }, {
      startsAt: new Date("2099-12-03T09:30:00Z"),
      timeZone: "Europe/Madrid",
      clinicId: "madrid",
      confirmed: true,
      sequence: 0,
      planned: false,
    });
    const { givenName, phone } = await readPatient("p1");
    assert.deepEqual({ givenName, phone }, { givenName: "Ana", phone: "+34600111222" });
    // p2 has no appointment here: their data are none of our business
    assert.deepEqual(await storedPatients(), ["p1"]);
  });

  test("reads first what is not over, then only what has changed since, with an overlap", async () => {
    server.put(fhirAppointment("over", { patient: "p1", start: "2020-01-01T08:00:00Z" }));
    server.put(fhirPatient("p1"));
    server.put(fhirAppointment("a1", { patient: "p1" }));
    const firstAt = server.clock;
    await runImport();
    assert.equal(await countAppointments(), 1);
    assert.match(server.requests[0] ?? "", /^\/fhir\/Appointment\?date=ge\d{4}-\d\d-\d\d&/);
    assert.deepEqual(await cursorOf("Appointment"), firstAt);

    server.put(fhirAppointment("a2", { patient: "p1" }));
    server.requests.length = 0;
    const { appointments, changed } = await runImport();
    assert.deepEqual({ appointments, changed }, { appointments: 3, changed: 2 }); // With the overlap
    const since = new URL(server.requests[0] ?? "", server.baseUrl).searchParams.get(
      "_lastUpdated",
    );
    assert.equal(since, `ge${new Date(firstAt.getTime() - 5 * 60_000).toISOString()}`);
    assert.deepEqual(await cursorOf("Appointment"), server.clock);
  });

  test("takes a patient's changes without a change of the appointment", async () => {
    server.put(fhirPatient("p1"));
    server.put(fhirAppointment("a1", { patient: "p1" }));
    await runImport();
    server.clock = new Date(server.clock.getTime() + 3_600_000);
    server.put(fhirPatient("stranger"));
    server.put(fhirPatient("p1", {
      telecom: [{ system: "phone", value: "600 333 444" }],
      deceasedDateTime: "2026-11-20",
    }));
    await runImport();
    const { phone, deceased } = await readPatient("p1");
    assert.deepEqual({ phone, deceased }, { phone: "+34600333444", deceased: true });
    assert.deepEqual(await storedPatients(), ["p1"]);
    assert.deepEqual(await cursorOf("Patient"), server.clock);
  });

  test("moves the cursor no further than the server's time when the search began", async () => {
    server.pageSize = 1;
    server.put(fhirAppointment("a1", { patient: "p1" }));
    server.put(fhirAppointment("a2", { patient: "p1" }));
    const beganAt = server.clock;
    server.fault = (request) => {
      // While the second page is read, the first appointment moves
      if (request.url?.includes("_offset=1")) server.put(fhirAppointment("a2", { patient: "p1" }));
      return false;
    };
    await runImport();
    assert.deepEqual(await cursorOf("Appointment"), beganAt);
  });

  test("asks for a page only when the one before is stored", async () => {
    server.pageSize = 2;
    for (const id of ["a1", "a2", "a3", "a4", "a5"]) {
      server.put(fhirAppointment(id, { patient: "p1" }));
    }
    const storedBefore: number[] = [];
    server.fault = async (request) => {
      if (request.url?.startsWith("/fhir/Appointment")) {
        storedBefore.push(await countAppointments());
      }
      return false;
    };
    await runImport();
    assert.deepEqual(storedBefore, [0, 2, 4]);
  });

  test("keeps what it has stored when it is stopped, and begins again from the old cursor", async () => {
    server.pageSize = 1;
    for (const id of ["a1", "a2", "a3"]) server.put(fhirAppointment(id, { patient: "p1" }));
    const controller = new AbortController();
    const stopAfterTwo = ({ pages }: { pages: number }) => {
      if (pages === 2) controller.abort();
    };
    await assert.rejects(
      runImport({ signal: controller.signal, progress: stopAfterTwo }),
      /^Error: Cannot finish the import: it was asked to stop/,
    );
    assert.equal(await countAppointments(), 2);
    assert.equal(await cursorOf("Appointment"), null);

    const { appointments, changed } = await runImport();
    assert.deepEqual({ appointments, changed }, { appointments: 3, changed: 1 });
    assert.deepEqual(await cursorOf("Appointment"), server.clock);
  });

  test("never goes back to an older version", async () => {
    const meta = (versionId: string, lastUpdated: string) => ({ meta: { versionId, lastUpdated } });
    const put = (status: string, version: ReturnType<typeof meta>) => {
      server.put(fhirAppointment("a1", { patient: "p1", status, ...version }));
      server.put(fhirPatient("p1", { active: status === "booked", ...version }));
    };
    put("cancelled", meta("10", "2026-11-20T08:00:00Z"));
    await runImport();
    for (const older of [meta("11", "2026-11-20T07:59:59Z"), meta("9", "2026-11-20T08:00:00Z")]) {
      put("booked", older);
      await sql`delete from clinic.sync_cursor`;
      await runImport();
      assert.equal((await readAppointment("a1")).status, "cancelled");
      assert.equal((await readPatient("p1")).active, false);
    }
    put("booked", meta("11", "2026-11-20T08:00:00Z"));
    await runImport();
    assert.equal((await readAppointment("a1")).status, "booked");
    assert.equal((await readPatient("p1")).active, true);
  });

  test("raises the sequence when the time changes, and has reminders planned anew for what matters", async () => {
    server.put(fhirAppointment("a1", { patient: "p1" }));
    await runImport();
    await markPlanned("a1");
    const before = await readAppointment("a1");

    server.put(fhirAppointment("a1", { patient: "p1", comment: "bring the scans" }));
    assert.equal((await runImport()).changed, 0);
    const same = await readAppointment("a1");
    assert.deepEqual(
      [same.planned, same.sequence, same.changedAt, same.version],
      [true, 0, before.changedAt, "2"],
    );
    assert.ok(same.syncedAt > before.syncedAt);

    server.put(fhirAppointment("a1", { patient: "p1", status: "cancelled" }));
    assert.equal((await runImport()).changed, 1);
    const cancelled = await readAppointment("a1");
    assert.deepEqual([cancelled.planned, cancelled.sequence], [false, 0]);
    assert.ok(cancelled.changedAt > before.changedAt);

    await markPlanned("a1");
    server.put(fhirAppointment("a1", { patient: "p1", start: "2099-12-03T11:00:00+01:00" }));
    await runImport();
    const moved = await readAppointment("a1");
    assert.deepEqual([moved.planned, moved.sequence, moved.status], [false, 1, "booked"]);
  });

  test("two at once store everything once", async () => {
    server.pageSize = 3;
    for (let n = 0; n < 12; n++) {
      server.put(fhirPatient(`p${n}`));
      server.put(fhirAppointment(`a${n}`, { patient: `p${n}` }));
    }
    const both = await Promise.all([runImport(), runImport()]);
    assert.equal(both.reduce((sum, { changed }) => sum + changed, 0), 12);
    assert.equal(await countAppointments(), 12);
    const [row] = await sql`select max(sequence) from clinic.appointment`;
    assert.equal(row?.max, 0);
    assert.deepEqual(await cursorOf("Appointment"), server.clock);
  });
});
