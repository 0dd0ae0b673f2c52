import type { Channel } from "./delivery.ts";

/** One of a patient's contact details, as HL7 FHIR's ContactPoint. */
export type ContactPoint = {
  system: string;
  value: string;
  use: string | null;
  /** 1 is the most preferred. */
  rank: number | null;
  /** It is in use from `from` until just before `until`; null leaves that side open. */
  from: Date | null;
  until: Date | null;
};

const SYSTEMS: Record<Channel, readonly string[]> = { email: ["email"], sms: ["sms", "phone"] };

/** An address at work comes last: others may read it. */
const USES = ["mobile", "home", null, "temp", "work"];

/**
 * The values worth trying for `channel`, best first.
 *
 * For a text message a mobile phone comes before everything, for a rank 1 may be the phone in the hall. Then the rank
 * decides, then the use, then the order in which they were given. What is old or out of its period is left out.
 */
export function contactsInOrder(
  points: readonly ContactPoint[],
  { channel, now }: { channel: Channel; now: Date },
): string[] {
  return points
    .filter(({ system, use }) => SYSTEMS[channel].includes(system) && use !== "old")
    .filter(({ from, until }) => (from === null || from <= now) && (until === null || now < until))
    .map((point) => ({ point, order: preference(point, channel) }))
    .sort((a, b) => compare(a.order, b.order))
    .map(({ point }) => point.value);
}

function preference({ system, use, rank }: ContactPoint, channel: Channel): number[] {
  const mobile = system === "sms" || use === "mobile";
  const known = USES.indexOf(use);
  return [
    channel === "sms" && !mobile ? 1 : 0,
    rank ?? Infinity,
    known === -1 ? USES.length : known,
  ];
}

function compare(a: readonly number[], b: readonly number[]): number {
  const index = a.findIndex((value, at) => value !== b[at]);
  if (index === -1) return 0;
  return (a[index] ?? 0) < (b[index] ?? 0) ? -1 : 1;
}
