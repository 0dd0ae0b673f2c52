import { type Resource } from "../fhir/resource.ts";
import {
  appointmentsOn,
  BOOKED_AHEAD_DAYS,
  type Registry,
  UNLISTED_LOCATION,
} from "./appointments.ts";
import { nextClockChange } from "./clock-changes.ts";
import { createPatients, REGISTERED_AT } from "./patients.ts";
import { type Site, SITES } from "./sites.ts";

const DAYS_BACK = 2;

/**
 * What the patient API of five clinics holds on `today` (a date in UTC): places, practitioners, patients and the
 * appointments from two days ago to nine days ahead, and those around the next change of clocks.
 *
 * On the next day the same are there, unchanged, and some more: an import that has seen one day finds only what is new.
 */
export function generateSampleClinic(
  { seed, today }: { seed: string; today: Temporal.PlainDate },
): Resource[] {
  const registries = new Map(SITES.map((site) => [site, createRegistry(site, seed)]));
  const registryOf = (site: Site) => registries.get(site) as Registry;
  const midnight = today.toZonedDateTime("UTC").epochMilliseconds;
  const appointments = daysOf(today)
    .flatMap((day) => appointmentsOn(day, { seed, registryOf }))
    .filter(({ meta }) => Date.parse(meta.lastUpdated) <= midnight);
  return [
    ...[...registries.values()].flatMap(({ location, practitioners, patients }) => [
      location,
      ...practitioners,
      ...patients,
    ]),
    createLocation({ id: UNLISTED_LOCATION, name: "Harbour Pop-up", timeZone: "Europe/London" }),
    ...appointments,
  ];
}

function daysOf(today: Temporal.PlainDate): Temporal.PlainDate[] {
  const days = Array.from(
    { length: DAYS_BACK + BOOKED_AHEAD_DAYS + 1 },
    (_, index) => today.add({ days: index - DAYS_BACK }),
  );
  const midnight = today.toZonedDateTime("UTC").toInstant();
  for (const { timeZone } of SITES) {
    const change = nextClockChange(midnight, timeZone);
    if (change !== null) days.push(change, change.add({ days: 1 }));
  }
  const unique = new Map(days.map((day) => [day.toString(), day]));
  return [...unique.values()];
}

function createRegistry(site: Site, seed: string): Registry {
  return {
    patients: createPatients(site, seed),
    practitioners: site.practitioners.map(([given, family, language], index) => ({
      resourceType: "Practitioner",
      id: `${site.id}-dr${index + 1}`,
      meta: { versionId: "1", lastUpdated: REGISTERED_AT },
      active: true,
      name: [{ use: "official", prefix: ["Dr"], given: [given], family }],
      communication: [{ coding: [{ system: "urn:ietf:bcp:47", code: language }] }],
    })),
    location: {
      ...createLocation({ id: site.location, name: site.name, timeZone: site.timeZone }),
      telecom: [{ system: "phone", value: site.landline, use: "work" }],
      address: { city: site.city, country: site.country },
    },
  };
}

function createLocation(
  { id, name, timeZone }: { id: string; name: string; timeZone: string },
): Resource {
  return {
    resourceType: "Location",
    id,
    meta: { versionId: "1", lastUpdated: REGISTERED_AT },
    extension: [{ url: "http://hl7.org/fhir/StructureDefinition/timezone", valueCode: timeZone }],
    status: "active",
    name,
  };
}
