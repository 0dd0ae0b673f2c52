import { z } from "zod";
import type { SourcePatient } from "../shared/database/patients.ts";
import { parsePhoneNumber } from "../shared/delivery/phone-number.ts";
import { type ContactPoint, contactsInOrder } from "../shared/domain/contact.ts";
import { type HumanName, Patient, type Telecom } from "./fhir-resources.ts";
import { boundsOf, covers } from "./periods.ts";
import { parseReference } from "./references.ts";

export type PatientContext = {
  /** ISO 3166-1 alpha-2 of the clinic, for phone numbers without a country code. */
  country: string | null;
  now: Date;
  bases: ReadonlySet<string>;
};

const Email = z.email();
const LANGUAGE_TAGS = "urn:ietf:bcp:47";

/** What the patient is called day to day comes first: it is used in the greeting. */
const NAME_USES = ["usual", "official", undefined, "nickname", "temp"];

/** Turns a FHIR Patient into ours; null when it cannot be read. */
export function mapPatient(resource: unknown, context: PatientContext): SourcePatient | null {
  const { data } = Patient.safeParse(resource);
  if (data === undefined) return null;
  const { country, now } = context;
  const points = data.telecom.flatMap(toContactPoint);
  const emails = contactsInOrder(points, { channel: "email", now }).map((value) => value.trim());
  const phones = contactsInOrder(points, { channel: "sms", now })
    .map((value) => parsePhoneNumber(value, country));
  const replaced = findReplacement(data, context);

  return {
    id: data.id,
    givenName: chooseGivenName(data.name, now),
    email: emails.find((value) => Email.safeParse(value).success) ?? null,
    phone: phones.find((phone) => phone?.textable)?.e164 ?? null,
    locale: chooseLocale(data),
    active: data.active && replaced !== "by-unknown",
    deceased: data.deceasedBoolean ||
      (data.deceasedDateTime !== undefined && data.deceasedDateTime !== null),
    mergedInto: replaced === "by-unknown" ? null : replaced?.id ?? null,
    version: data.meta.versionId ?? null,
    sourceUpdatedAt: data.meta.lastUpdated ?? null,
  };
}

function toContactPoint({ system, value, use, rank, period }: Telecom): ContactPoint[] {
  const bounds = boundsOf(period);
  if (bounds === null) return [];
  return [{ system, value, use: use ?? null, rank: rank ?? null, ...bounds }];
}

function chooseGivenName(names: readonly HumanName[], now: Date): string | null {
  const current = names.filter(({ use, period }) => NAME_USES.includes(use) && covers(period, now));
  for (const use of NAME_USES) {
    for (const name of current) {
      const given = name.given.find((part) => part !== "");
      if (name.use === use && given !== undefined) return given;
    }
  }
  return null;
}

/** The preferred language, or the only one. */
function chooseLocale({ communication }: Patient): string | null {
  const chosen = communication.find(({ preferred }) => preferred) ??
    (communication.length === 1 ? communication[0] : undefined);
  for (const { system, code } of chosen?.language.coding ?? []) {
    if (system !== undefined && system !== LANGUAGE_TAGS) continue;
    const locale = canonicalLocale(code);
    if (locale !== null) return locale;
  }
  return null;
}

function canonicalLocale(tag: string): string | null {
  try {
    return Intl.getCanonicalLocales(tag)[0] ?? null;
  } catch {
    return null; // It is no BCP 47 language tag
  }
}

/** The record this one was merged into. */
function findReplacement(
  { link }: Patient,
  { bases }: PatientContext,
): { id: string } | "by-unknown" | null {
  const replaced = link.find(({ type }) => type === "replaced-by");
  if (replaced === undefined) return null;
  const reference = parseReference(replaced.other?.reference, bases);
  return reference?.type === "Patient" && reference.local ? reference : "by-unknown";
}
