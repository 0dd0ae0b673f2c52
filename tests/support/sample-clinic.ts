import type { Resource } from "../../src/sandbox/fhir/resource.ts";
import { generateSampleClinic } from "../../src/sandbox/sample-clinic/generate-sample-clinic.ts";
import { type Site, SITES } from "../../src/sandbox/sample-clinic/sites.ts";

/** Ordinary weeks of both halves of the year, the weeks of each zone's change of clocks, a leap day and a new year. */
export const SAMPLE_DAYS = [
  "2026-03-07",
  "2026-03-28",
  "2026-04-04",
  "2026-07-15",
  "2026-09-26",
  "2026-10-24",
  "2026-10-31",
  "2026-11-22",
  "2026-12-30",
  "2028-02-28",
];

export function resourcesOn(today: string, seed = "carillon"): Resource[] {
  return generateSampleClinic({ seed, today: Temporal.PlainDate.from(today) });
}

export function ofType(resources: Resource[], resourceType: string): Resource[] {
  return resources.filter((resource) => resource.resourceType === resourceType);
}

export function appointmentsOn(today: string): Resource[] {
  return ofType(resourcesOn(today), "Appointment");
}

/** The reference to the participant of this type, "" when there is none. */
export function actorOf({ participant }: Resource, type: string): string {
  const actors = (participant as { actor: { reference: string } }[]).map(({ actor }) => actor);
  return actors.find(({ reference }) => reference.startsWith(`${type}/`))?.reference ?? "";
}

/** Undefined when the place is no clinic's. */
export function siteOf(appointment: Resource): Site | undefined {
  return SITES.find(({ location }) => actorOf(appointment, "Location") === `Location/${location}`);
}
