import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parsePhoneNumberFromString } from "libphonenumber-js/max";
import type { Resource } from "../../src/sandbox/fhir/resource.ts";
import { SITES } from "../../src/sandbox/sample-clinic/sites.ts";
import { behaviourOf, DELIVERED } from "../../src/sandbox/twilio/behaviours.ts";
import { APPOINTMENT_STATUSES } from "../../src/shared/domain/appointment.ts";
import {
  actorOf,
  appointmentsOn,
  ofType,
  resourcesOn,
  SAMPLE_DAYS,
  siteOf,
} from "../support/sample-clinic.ts";

const RESOURCES = byId(resourcesOn("2026-11-22"));

function byId(resources: Resource[]): Map<string, Resource> {
  return new Map(
    resources.map((resource) => [`${resource.resourceType}/${resource.id}`, resource]),
  );
}

function telecomOf({ telecom }: Resource): { system: string; value: string; use?: string }[] {
  return telecom as { system: string; value: string; use?: string }[];
}

function patient(number: string, site = "oak"): Resource {
  const found = RESOURCES.get(`Patient/${site}-p${number}`);
  assert.ok(found);
  return found;
}

describe("generateSampleClinic()", () => {
  test("makes the same of the same seed and day, and something else of another seed", () => {
    assert.deepEqual(resourcesOn("2026-11-22"), resourcesOn("2026-11-22"));
    assert.notDeepEqual(resourcesOn("2026-11-22"), resourcesOn("2026-11-22", "another"));
  });

  for (const today of SAMPLE_DAYS) {
    test(`shows on the day after ${today} the same appointments unchanged, and some that are new`, () => {
      const tomorrow = Temporal.PlainDate.from(today).add({ days: 1 }).toString();
      const before = byId(resourcesOn(today));
      const after = byId(resourcesOn(tomorrow));
      const known = [...after].filter(([id]) => before.has(id));
      const fresh = [...after.values()].filter(({ resourceType, id }) =>
        !before.has(`${resourceType}/${id}`)
      );
      assert.ok(known.length > before.size - 20);
      for (const [id, resource] of known) assert.deepEqual(resource, before.get(id));
      assert.ok(fresh.length > 0);
      // Later than whatever cursor an import of the day before has kept
      for (const { meta } of fresh) assert.equal(meta.lastUpdated, `${tomorrow}T00:00:00Z`);
    });
  }

  test("has between 60 and 120 appointments on any day, each id once, none from the future", () => {
    for (let offset = 0; offset < 365; offset += 5) {
      const today = new Temporal.PlainDate(2026, 1, 1).add({ days: offset }).toString();
      const appointments = appointmentsOn(today);
      assert.ok(appointments.length >= 60 && appointments.length <= 120, today);
      assert.equal(byId(appointments).size, appointments.length);
      for (const { meta } of appointments) {
        assert.ok(Date.parse(meta.lastUpdated) <= Date.parse(today), today);
      }
    }
  });

  test("refers only to resources it has", () => {
    const resources = resourcesOn("2026-11-22");
    const known = byId(resources);
    for (const appointment of ofType(resources, "Appointment")) {
      for (const type of ["Patient", "Practitioner", "Location"]) {
        assert.ok(known.has(actorOf(appointment, type)), `${appointment.id}: ${type}`);
      }
    }
  });

  for (const today of SAMPLE_DAYS) {
    test(`has every status, cancelled and moved, an unknown place and a broken one on ${today}`, () => {
      const appointments = appointmentsOn(today);
      const statuses = new Set(appointments.map(({ status }) => status));
      assert.deepEqual([...statuses].sort(), APPOINTMENT_STATUSES.toSorted());

      const changed = appointments.filter(({ meta }) => Number(meta.versionId) > 1);
      assert.ok(changed.some(({ status }) => status === "cancelled"));
      assert.ok(changed.some(({ status, start }) => status === "booked" && start !== undefined));
      assert.equal(appointments.filter((one) => siteOf(one) === undefined).length, 1);
      const broken = appointments.filter(({ status, start }) =>
        status === "booked" && start === undefined
      );
      assert.equal(broken.length, 1);
    });
  }

  test("has every kind of patient at every clinic", () => {
    for (const { id } of SITES) {
      const systems = (
        number: string,
      ) => [...new Set(telecomOf(patient(number, id)).map(({ system }) => system))];
      assert.deepEqual(systems("01"), ["phone", "email"]);
      assert.deepEqual(systems("03"), ["phone"]);
      assert.deepEqual(systems("04"), ["email"]);
      assert.deepEqual(systems("10"), []);
      assert.equal(telecomOf(patient("05", id))[0]?.use, "old");
      assert.deepEqual(telecomOf(patient("07", id))[0], telecomOf(patient("08", id))[0]);
      assert.ok("deceasedDateTime" in patient("12", id));
      assert.equal(patient("13", id).active, false);
      assert.deepEqual(patient("14", id).link, [
        { other: { reference: `Patient/${id}-p01` }, type: "replaced-by" },
      ]);
    }
  });

  test("speaks the languages of the templates and writes names that are no GSM-7", () => {
    const patients = JSON.stringify(ofType(resourcesOn("2026-11-22"), "Patient"));
    for (const language of ["en", "es", "fr", "de", "cy"]) {
      assert.ok(patients.includes(`"code":"${language}"`), language);
    }
    for (const name of ["Siân", "Zoë", "Łukasz"]) assert.ok(patients.includes(name), name);
  });

  test("gives everybody numbers and addresses that are nobody's, and none that the sandbox refuses", () => {
    const fictitious: Record<string, RegExp> = {
      GB: /^\+44(7700900|2920180)\d{3}$/,
      US: /^\+121255501\d\d$/,
      DE: /^\+49(17139200\d\d|3023125\d{3})$/,
      ES: /^\+34(600000|910000)\d{3}$/,
      NZ: /^\+64(21000\d{4}|9555\d{4})$/,
    };
    for (const site of SITES) {
      const patients = ofType(resourcesOn("2026-11-22"), "Patient")
        .filter(({ id }) => id.startsWith(`${site.id}-`));
      for (const { system, value } of patients.flatMap(telecomOf)) {
        if (system === "email") assert.match(value, /^[a-z.]+@[a-z]+\.example\.(org|com)$/);
        else if (value !== "ex-directory") {
          const number = parsePhoneNumberFromString(value, site.country as "GB");
          assert.ok(number !== undefined && number.isPossible(), value);
          assert.match(number.number, fictitious[site.country] ?? /^$/);
          assert.equal(behaviourOf({ from: "", to: number.number }), DELIVERED);
        }
      }
    }
  });

  test("has mobile numbers that libphonenumber takes for such, but for Ofcom's", () => {
    for (const { id, country } of SITES) {
      const number = parsePhoneNumberFromString(telecomOf(patient("01", id))[0]?.value ?? "");
      assert.match(String(number?.getType()), country === "GB" ? /undefined/ : /MOBILE/);
    }
  });
});
