import { type Reference, referenceTo, type Resource } from "../fhir/resource.ts";
import { integerOf } from "./random.ts";
import type { Person, Site } from "./sites.ts";

type ContactPoint = {
  system: "phone" | "email";
  value: string;
  use?: "home" | "work" | "mobile" | "old";
  rank?: number;
  period?: { start?: string; end?: string };
};

type Contacts = {
  /** A mobile number of the patient's own. */
  mobile: string;
  /** A second one, that of a past contract. */
  formerMobile: string;
  familyMobile: string;
  email: string;
  site: Site;
};

type PatientCase = {
  /** Whether a message can reach this patient. */
  reachable: boolean;
  telecom: (contacts: Contacts) => ContactPoint[];
  extra?: (first: Reference) => Record<string, unknown>;
};

const mobile = (value: string): ContactPoint => ({ system: "phone", value, use: "mobile" });
const email = (value: string): ContactPoint => ({ system: "email", value, use: "home" });
const EXPIRED = { start: "2019-03-01", end: "2024-12-31" };

/** Every clinic has one patient of each kind. */
export const PATIENT_CASES: readonly PatientCase[] = [
  { reachable: true, telecom: (has) => [mobile(has.mobile), email(has.email)] },
  { reachable: true, telecom: (has) => [mobile(has.mobile), email(has.email)] },
  // No email; the number as people write it at home
  { reachable: true, telecom: (has) => [mobile(has.site.national(has.mobile))] },
  // No phone
  { reachable: true, telecom: (has) => [email(has.email)] },
  // Many: the first is an old one, the best has rank 1
  {
    reachable: true,
    telecom: (has) => [
      { system: "phone", value: has.formerMobile, use: "old" },
      { system: "phone", value: has.site.landline, use: "home", rank: 3 },
      { ...mobile(has.mobile), rank: 1 },
      { system: "phone", value: has.site.landline, use: "work", rank: 2 },
      { system: "email", value: `old.${has.email}`, use: "old" },
      email(has.email),
    ],
  },
  // A number whose period has ended, then the current one
  {
    reachable: true,
    telecom: (has) => [
      { ...mobile(has.formerMobile), period: EXPIRED },
      { ...mobile(has.mobile), period: { start: "2025-01-01" } },
      email(has.email),
    ],
  },
  // A child and a parent with one phone
  { reachable: true, telecom: (has) => [mobile(has.familyMobile)] },
  { reachable: true, telecom: (has) => [mobile(has.familyMobile), email(has.email)] },
  // Something else where the number should be
  { reachable: true, telecom: (has) => [mobile("ex-directory"), email(has.email)] },
  { reachable: false, telecom: () => [] },
  // Nothing that still holds
  {
    reachable: false,
    telecom: (has) => [
      { system: "phone", value: has.mobile, use: "old" },
      { ...email(has.email), period: EXPIRED },
    ],
  },
  {
    reachable: false,
    telecom: (has) => [mobile(has.mobile), email(has.email)],
    extra: () => ({ deceasedDateTime: "2025-04-17" }),
  },
  {
    reachable: false,
    telecom: (has) => [mobile(has.mobile), email(has.email)],
    extra: () => ({ active: false }),
  },
  // Registered twice: this record was replaced by the first patient's
  {
    reachable: false,
    telecom: (has) => [mobile(has.mobile), email(has.email)],
    extra: (first) => ({ active: false, link: [{ other: first, type: "replaced-by" }] }),
  },
];

/** Index among `PATIENT_CASES` of the parent, whose phone the child has too. */
const PARENT = 7;
const FORMER_MOBILES_FROM = 40;

/** Patients, practitioners and the places change with no day: all were last updated then. */
export const REGISTERED_AT = "2025-06-02T09:00:00Z";

export function createPatients(site: Site, seed: string): Resource[] {
  const patients: Resource[] = [];
  site.patients.forEach((person, index) => {
    const { telecom, extra } = PATIENT_CASES[index] as PatientCase;
    const id = `${site.id}-p${String(index + 1).padStart(2, "0")}`;
    const patient: Resource = {
      resourceType: "Patient",
      id,
      meta: { versionId: "1", lastUpdated: REGISTERED_AT },
      active: true,
      name: [{ use: "official", family: person[1], given: [person[0]] }],
      telecom: telecom({
        mobile: site.mobile(index),
        formerMobile: site.mobile(FORMER_MOBILES_FROM + index),
        familyMobile: site.mobile(PARENT),
        email: emailOf(person, site),
        site,
      }),
      birthDate: birthDateOf(`${seed}/${id}`, index === PARENT - 1),
      communication: [{
        language: { coding: [{ system: "urn:ietf:bcp:47", code: person[2] }] },
        preferred: true,
      }],
    };
    const first = patients[0] ?? patient;
    patients.push({ ...patient, ...extra?.(referenceTo(first)) });
  });
  return patients;
}

/** The address has letters of ASCII only, as most providers ask. */
function emailOf([given, family]: Person, site: Site): string {
  const local = `${given}.${family}`.replaceAll("Ł", "L").replaceAll("ß", "ss").replaceAll("ı", "i")
    .normalize("NFD").replace(/[^a-zA-Z.]/g, "");
  return `${local.toLowerCase()}@${site.emailDomain}`;
}

function birthDateOf(key: string, child: boolean): string {
  const year = integerOf(
    `${key}/year`,
    child ? { min: 2016, max: 2021 } : { min: 1938, max: 2004 },
  );
  const month = integerOf(`${key}/month`, { min: 1, max: 12 });
  const day = integerOf(`${key}/day`, { min: 1, max: 28 });
  return new Temporal.PlainDate(year, month, day).toString();
}
