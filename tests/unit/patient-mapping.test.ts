import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { mapPatient } from "../../src/etl/map-patient.ts";
import type { SourcePatient } from "../../src/shared/database/patients.ts";

const BASE = "https://fhir.example/r4";
const NOW = new Date("2026-11-20T09:00:00Z");

function patient(changes: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    resourceType: "Patient",
    id: "p1",
    meta: { versionId: "1", lastUpdated: "2026-11-19T10:00:00Z" },
    ...changes,
  };
}

function mapped(changes: Record<string, unknown>, country: string | null = "ES"): SourcePatient {
  const result = mapPatient(patient(changes), { country, now: NOW, bases: new Set([BASE]) });
  assert.ok(result !== null);
  return result;
}

describe("mapPatient()", () => {
  test("keeps a patient of whom only the id is known", () => {
    assert.deepEqual(mapped({}), {
      id: "p1",
      givenName: null,
      email: null,
      phone: null,
      locale: null,
      active: true,
      deceased: false,
      mergedInto: null,
      version: "1",
      sourceUpdatedAt: new Date("2026-11-19T10:00:00Z"),
    });
  });

  test("greets by the first given name in daily use", () => {
    const official = { use: "official", given: ["Ana María", "Luz"], family: "Ruiz" };
    const usual = { use: "usual", given: ["Ani"] };
    const ended = { use: "usual", given: ["Anita"], period: { end: "2025" } };
    const maiden = { use: "maiden", given: ["Anna"] };
    assert.equal(mapped({ name: [maiden, official] }).givenName, "Ana María");
    assert.equal(mapped({ name: [official, ended, usual] }).givenName, "Ani");
    assert.equal(mapped({ name: [{ family: "Ruiz" }, { given: [" ", "Ana"] }] }).givenName, "Ana");
    assert.equal(mapped({ name: [maiden, { use: "old", given: ["X"] }] }).givenName, null);
  });

  test("takes the best contact that is one", () => {
    const telecom = [
      { system: "email", value: "ana(at)example.org", rank: 1 },
      { system: "email", value: " ana@example.org ", rank: 2 },
      { system: "phone", value: "912 345 678", use: "home", rank: 1 },
      { system: "phone", value: "600 111 222", use: "mobile", rank: 2 },
      { system: "phone", value: 600111333 },
      "600 111 444",
    ];
    const { email, phone } = mapped({ telecom });
    assert.deepEqual({ email, phone }, { email: "ana@example.org", phone: "+34600111222" });
  });

  test("reads national numbers by the clinic's country only", () => {
    const telecom = [{ system: "phone", value: "07911 123456" }];
    assert.equal(mapped({ telecom }, "GB").phone, "+447911123456");
    assert.equal(mapped({ telecom }, null).phone, null);
  });

  test("gives a landline no text messages", () => {
    const telecom = [{ system: "phone", value: "020 7946 0123", use: "mobile" }];
    assert.equal(mapped({ telecom }, "GB").phone, null);
  });

  for (
    const [end, reachable] of [
      ["2026", true],
      ["2026-11", true],
      ["2026-11-20", true],
      ["2026-11-20T09:00:00Z", true],
      ["2026-11-20T08:59:00Z", false],
      ["2026-11-19", false],
      ["2026-10", false],
      ["2025", false],
      ["last year", false],
    ] as const
  ) {
    test(`a phone until ${end} is ${reachable ? "still" : "no more"} used`, () => {
      const telecom = [{ system: "sms", value: "+34600111222", period: { end } }];
      assert.equal(mapped({ telecom }).phone, reachable ? "+34600111222" : null);
    });
  }

  test("takes the preferred language, or the only one", () => {
    const speaks = (code: string, preferred?: boolean) => ({
      language: { coding: [{ system: "urn:ietf:bcp:47", code }] },
      preferred,
    });
    assert.equal(mapped({ communication: [speaks("en"), speaks("cy-gb", true)] }).locale, "cy-GB");
    assert.equal(mapped({ communication: [speaks("es")] }).locale, "es");
    assert.equal(mapped({ communication: [speaks("es"), speaks("en")] }).locale, null);
    assert.equal(mapped({ communication: [speaks("es_ES")] }).locale, null);
    assert.equal(mapped({ communication: [{ language: { text: "Spanish" } }] }).locale, null);
  });

  test("knows the dead, the inactive and the merged", () => {
    assert.equal(mapped({ deceasedBoolean: true }).deceased, true);
    assert.equal(mapped({ deceasedBoolean: false }).deceased, false);
    assert.equal(mapped({ deceasedDateTime: "2026-11" }).deceased, true);
    assert.equal(mapped({ active: false }).active, false);
    const link = (type: string, reference?: string) => [{ type, other: { reference } }];
    assert.equal(mapped({ link: link("replaced-by", "Patient/p2") }).mergedInto, "p2");
    assert.equal(mapped({ link: link("replaces", "Patient/p0") }).mergedInto, null);
    const replaced = mapped({ link: link("replaced-by") });
    assert.deepEqual([replaced.active, replaced.mergedInto], [false, null]);
  });

  test("refuses a patient whose life or identity cannot be read", () => {
    for (const changes of [{ deceasedBoolean: "true" }, { active: "no" }, { link: "p2" }]) {
      const context = { country: "ES", now: NOW, bases: new Set([BASE]) };
      assert.equal(mapPatient(patient(changes), context), null);
    }
  });
});
