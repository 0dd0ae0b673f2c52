import { z } from "zod";

// HL7 FHIR R4, only what is read here. What else a resource holds is ignored.

/** One element that cannot be read does not spoil the others. */
function listOf<Item extends z.ZodType>(item: Item) {
  return z.array(z.unknown()).default([]).transform((elements) =>
    elements.flatMap((element): z.output<Item>[] => {
      const { success, data } = item.safeParse(element);
      return success ? [data] : [];
    })
  );
}

const TEXT_LENGTH_MAX = 120;

/** A name to print: on one line, not endless, and without what PostgreSQL refuses (NUL, half a surrogate pair). */
const DisplayText = z.string().transform((text) =>
  text.replace(/[\s\p{Cc}]+/gu, " ").trim().slice(0, TEXT_LENGTH_MAX).toWellFormed()
);

/** A date and time with its offset, as FHIR demands. */
export const Instant = z.iso.datetime({ offset: true }).transform((text) => new Date(text));

const Id = z.string().regex(/^[A-Za-z0-9.-]{1,64}$/);

const Meta = z.object({
  versionId: Id.optional().catch(undefined),
  lastUpdated: Instant.optional(),
}).default({});

export const Identity = z.object({ resourceType: z.string(), id: Id });
export const Versioned = z.object({ meta: Meta });

const Coding = z.object({ system: z.string().optional(), code: z.string() });
const CodeableConcept = z.object({ coding: listOf(Coding) });
const Period = z.object({ start: z.string().optional(), end: z.string().optional() });
export type Period = z.infer<typeof Period>;

const HumanName = z.object({
  use: z.string().optional(),
  text: DisplayText.optional(),
  family: DisplayText.optional(),
  given: listOf(DisplayText),
  prefix: listOf(DisplayText),
  period: Period.optional(),
});
export type HumanName = z.infer<typeof HumanName>;

const Telecom = z.object({
  system: z.string(),
  value: z.string().max(254),
  use: z.string().optional(),
  rank: z.int().positive().optional(),
  period: Period.optional(),
});
export type Telecom = z.infer<typeof Telecom>;

const Participant = z.object({
  actor: z.object({ reference: z.string().optional(), display: DisplayText.optional() }),
  status: z.string().optional(),
});
export type Participant = z.infer<typeof Participant>;

export const Appointment = z.object({
  id: Id,
  meta: Meta,
  status: z.string(),
  start: z.string().optional(),
  participant: listOf(Participant),
  appointmentType: CodeableConcept.optional(),
  extension: listOf(z.object({ url: z.string() })),
  contained: listOf(z.object({ resourceType: z.string() })),
});
export type Appointment = z.infer<typeof Appointment>;

export const Patient = z.object({
  id: Id,
  meta: Meta,
  // These three decide whether anything may be sent at all: unlike a name, they may not be ignored when broken
  active: z.boolean().default(true),
  deceasedBoolean: z.boolean().default(false),
  link: z.array(z.object({
    type: z.string(),
    other: z.object({ reference: z.string().optional() }).optional(),
  })).default([]),
  deceasedDateTime: z.unknown().optional(),
  name: listOf(HumanName),
  telecom: listOf(Telecom),
  communication: listOf(z.object({
    preferred: z.boolean().default(false),
    language: CodeableConcept,
  })),
});
export type Patient = z.infer<typeof Patient>;

export const Location = z.object({ id: Id, name: DisplayText });
export const Practitioner = z.object({ id: Id, name: listOf(HumanName) });

export const OperationOutcome = z.object({
  resourceType: z.literal("OperationOutcome"),
  issue: listOf(z.object({ severity: z.string(), code: z.string() })),
});

export const Entry = z.object({
  fullUrl: z.string().optional().catch(undefined),
  resource: z.looseObject({ resourceType: z.string() }),
});
export type Entry = z.infer<typeof Entry>;

export const Bundle = z.object({
  resourceType: z.literal("Bundle"),
  entry: z.array(z.unknown()).default([]),
  link: z.array(z.object({ relation: z.string(), url: z.string() })).default([]),
});

/** The first error of an OperationOutcome, by its code only: its text may quote the request or a patient. */
export function errorCode(resource: unknown): string | null {
  const { data } = OperationOutcome.safeParse(resource);
  const issue = data?.issue.find(({ severity }) => severity === "error" || severity === "fatal");
  if (issue === undefined) return null;
  return /^[a-z-]{1,40}$/.test(issue.code) ? issue.code : "unknown";
}
