import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { mapAppointment, type MappedAppointment } from "../../src/etl/map-appointment.ts";
import { mapAppointmentPage } from "../../src/etl/map-page.ts";
import { sortEntries } from "../../src/etl/sort-entries.ts";
import { APPOINTMENT_STATUSES } from "../../src/shared/domain/appointment.ts";
import type { Clinic } from "../../src/shared/domain/clinic.ts";

const BASE = "https://fhir.example/r4";
const NOW = new Date("2026-11-20T09:00:00Z");
const CLINIC = { id: "madrid", timeZone: "Europe/Madrid", country: "ES" } as Clinic;

const PATIENT = { actor: { reference: "Patient/p1" }, status: "needs-action" };
const PLACE = { actor: { reference: "Location/madrid-1" }, status: "accepted" };
const DOCTOR = { actor: { reference: "Practitioner/d1", display: "Dr Ruiz" }, status: "accepted" };

function appointment(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    resourceType: "Appointment",
    id: "a1",
    meta: { versionId: "3", lastUpdated: "2026-11-19T10:00:00.5+01:00" },
    status: "booked",
    start: "2026-12-03T10:30:00+01:00",
    participant: [PATIENT, PLACE, DOCTOR],
    ...changes,
  };
}

function map(changes: Record<string, unknown> = {}): MappedAppointment {
  return mapAppointment(appointment(changes), {
    clinicsByLocation: new Map([["madrid-1", CLINIC]]),
    bases: new Set([BASE]),
    names: new Map([["Location/madrid-1", "Centro"], ["Practitioner/d2", "Dra Vidal"]]),
  });
}

function usable(changes: Record<string, unknown> = {}) {
  const mapped = map(changes);
  assert.equal(mapped.kind, "usable");
  return mapped.appointment;
}

function reason(changes: Record<string, unknown>): string | null {
  const mapped = map(changes);
  return mapped.kind === "unusable" ? mapped.reason : null;
}

describe("mapAppointment()", () => {
  test("takes what reminders need", () => {
    assert.deepEqual(map(), {
      kind: "usable",
      clinic: CLINIC,
      appointment: {
        id: "a1",
        clinicId: "madrid",
        patientId: "p1",
        status: "booked",
        startsAt: new Date("2026-12-03T09:30:00Z"),
        timeZone: "Europe/Madrid",
        practitioner: "Dr Ruiz",
        location: "Centro",
        modality: "in-person",
        confirmed: false,
        version: "3",
        sourceUpdatedAt: new Date("2026-11-19T09:00:00.500Z"),
      },
    });
  });

  const mayLackStart = ["proposed", "pending", "cancelled", "entered-in-error", "waitlist"];
  for (const status of APPOINTMENT_STATUSES) {
    test(`keeps the status ${status}, ${mayLackStart.includes(status) ? "even" : "not"} without a start`, () => {
      assert.equal(usable({ status }).status, status);
      const expected = mayLackStart.includes(status) ? null : "no_start";
      assert.equal(reason({ status, start: undefined }), expected);
    });
  }

  test("reads booked as not confirmed, and the patient's own acceptance as confirmed", () => {
    assert.equal(usable().confirmed, false);
    const participant = [{ ...PATIENT, status: "accepted" }, PLACE];
    assert.equal(usable({ participant }).confirmed, true);
  });

  test("reads absolute references to the server itself, and versioned ones", () => {
    for (const reference of [`${BASE}/Patient/p1`, "Patient/p1/_history/4"]) {
      assert.equal(usable({ participant: [{ actor: { reference } }, PLACE] }).patientId, "p1");
    }
  });

  for (
    const [what, expected, changes] of [
      ["an unknown status", "unknown_status", { status: "postponed" }],
      ["a start without an offset", "no_start", { start: "2026-12-03T10:30:00" }],
      ["a start that is only a day", "no_start", { start: "2026-12-03" }],
      ["a start on a day that does not exist", "no_start", { start: "2026-02-30T10:30:00Z" }],
      ["a broken start of a cancelled one", "no_start", { status: "cancelled", start: "soon" }],
      ["no patient", "no_patient", { participant: [PLACE] }],
      ["no participant", "no_patient", { participant: undefined }],
      ["two patients", "several_patients", {
        participant: [PATIENT, { actor: { reference: "Patient/p2" } }, PLACE],
      }],
      ["a contained patient", "contained_patient", {
        contained: [{ resourceType: "Patient", id: "x" }],
        participant: [{ actor: { reference: "#x" } }, PLACE],
      }],
      ["a patient of another server", "foreign_patient", {
        participant: [{ actor: { reference: "https://other.example/r4/Patient/p1" } }, PLACE],
      }],
      ["no place", "no_location", { participant: [PATIENT] }],
      ["a place of no clinic", "unknown_location", {
        participant: [PATIENT, { actor: { reference: "Location/elsewhere" } }],
      }],
      ["a place of another server", "unknown_location", {
        participant: [PATIENT, { actor: { reference: "https://other.example/Location/madrid-1" } }],
      }],
      ["a broken meta", "invalid", { meta: "v1" }],
      ["an id that is none", "invalid", { id: "a/1" }],
    ] as const
  ) {
    test(`refuses ${what}: ${expected}`, () => assert.equal(reason(changes), expected));
  }

  test("leaves out participants that cannot be read", () => {
    const participant = [null, { actor: 7 }, { actor: {} }, PATIENT, PLACE];
    assert.equal(usable({ participant }).patientId, "p1");
  });

  test("finds the clinic among several places", () => {
    const room = { actor: { reference: "Location/room-4" } };
    assert.equal(usable({ participant: [PATIENT, room, PLACE] }).clinicId, "madrid");
  });

  test("prints the included practitioner's name when the appointment gives none", () => {
    const doctor = { actor: { reference: "Practitioner/d2" } };
    assert.equal(usable({ participant: [PATIENT, PLACE, doctor] }).practitioner, "Dra Vidal");
    assert.equal(usable({ participant: [PATIENT, PLACE] }).practitioner, null);
  });

  test("keeps names to one line that PostgreSQL can store", () => {
    const doctor = { actor: { reference: "Practitioner/d1", display: " Dr\r\n\u0000Ruiz \ud800" } };
    const { practitioner } = usable({ participant: [PATIENT, PLACE, doctor] });
    assert.equal(practitioner, "Dr Ruiz \ufffd");
  });

  test("knows a remote appointment by its type and by its virtual service", () => {
    const coding = [{ system: "http://terminology.hl7.org/CodeSystem/v3-ActCode", code: "VR" }];
    assert.equal(usable({ appointmentType: { coding } }).modality, "remote");
    const url = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Appointment.virtualService";
    assert.equal(usable({ extension: [{ url }] }).modality, "remote");
    assert.equal(usable({ appointmentType: { text: "checkup" } }).modality, "in-person");
  });
});

function patient(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    resourceType: "Patient",
    id: "p1",
    meta: { versionId: "1", lastUpdated: "2026-11-19T10:00:00Z" },
    ...changes,
  };
}

describe("mapAppointmentPage()", () => {
  function mapPage(...resources: unknown[]) {
    const entries = resources.map((resource) => ({ resource }));
    const sorted = sortEntries(entries, { searched: "Appointment", baseUrl: BASE });
    const clinicsByLocation = new Map([["madrid-1", CLINIC]]);
    return mapAppointmentPage(sorted, { clinicsByLocation, now: NOW });
  }

  test("takes the patients of usable appointments and no others", () => {
    const page = mapPage(
      appointment(),
      appointment({ id: "a2", participant: [{ actor: { reference: "Patient/p3" } }] }),
      patient(),
      patient({ id: "p2" }),
      patient({ id: "p3" }),
    );
    assert.deepEqual(page.appointments.map(({ id }) => id), ["a1"]);
    assert.deepEqual(page.patients.map(({ id }) => id), ["p1"]);
  });

  test("says of everything it cannot use why", () => {
    const { appointments, unusable, absentPatients } = mapPage(
      appointment(),
      appointment({ id: "a2", status: "postponed" }),
      appointment({ id: "no/id" }),
      { noType: true },
      "text",
    );
    assert.deepEqual(appointments.map(({ id }) => id), ["a1"]);
    assert.deepEqual(unusable.map(({ resource, id, reason }) => [resource, id, reason]), [
      ["Appointment", "(no id)", "invalid"],
      ["Appointment", "(no id)", "invalid"],
      ["Appointment", "(no id)", "invalid"],
      ["Appointment", "a2", "unknown_status"],
    ]);
    assert.deepEqual(absentPatients, ["p1"]);
  });

  test("prints an included practitioner's name from its parts", () => {
    const name = [{ prefix: ["Dr"], given: ["Eva", "Luz"], family: "Vidal" }];
    const doctor = { actor: { reference: "Practitioner/d9" } };
    const { appointments } = mapPage(
      appointment({ participant: [PATIENT, PLACE, doctor] }),
      { resourceType: "Practitioner", id: "d9", name },
    );
    assert.equal(appointments[0]?.practitioner, "Dr Eva Vidal");
  });
});
