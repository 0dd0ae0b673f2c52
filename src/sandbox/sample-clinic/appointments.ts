import { type Reference, referenceTo, type Resource } from "../fhir/resource.ts";
import { changesClocks, clockChangeAnnounced } from "./clock-changes.ts";
import { PATIENT_CASES } from "./patients.ts";
import { integerOf, shuffled } from "./random.ts";
import { type Site, SITES } from "./sites.ts";

/** The FHIR resources of a site that appointments refer to. */
export type Registry = {
  patients: Resource[];
  practitioners: Resource[];
  location: Resource;
};

type Draft = {
  site: Site;
  /** Ends the id; one of its kind for a clinic and day. */
  kind: string;
  status: string;
  /** "HH:MM" there; null: no time is agreed. Left out: a free slot. */
  at?: string | null;
  versionId?: string;
  patients?: "reachable" | "unreachable";
  participantStatus?: string;
  location?: Reference;
  /** UTC date from whose beginning the clinic's system shows it. */
  shownFrom: Temporal.PlainDate;
};

/** A place that no clinic's settings know. */
export const UNLISTED_LOCATION = "harbour-popup";

/** Bookings are taken this many days ahead. */
export const BOOKED_AHEAD_DAYS = 9;

/** Half hours from 09:30: a reminder "the day before at 09:00" is due on the day before, or earlier on the day. */
const SLOTS = Array.from(
  { length: 16 },
  (_, index) => new Temporal.PlainTime(9, 30).add({ minutes: 30 * index }).toString().slice(0, 5),
);

const OPENS_AT = "08:00";
const CLOSES_AT = "18:00";
const DURATION_MINUTES = 20;

type DayCase = Pick<Draft, "kind" | "status"> & Partial<Draft>;

const CANCELLED: DayCase = { kind: "cancelled", status: "cancelled", versionId: "2" };
const MOVED: DayCase = { kind: "moved", status: "booked", versionId: "2" };
const UNREACHABLE: DayCase = { kind: "unreachable", status: "booked", patients: "unreachable" };
const CONFIRMED: DayCase = { kind: "confirmed", status: "booked", participantStatus: "accepted" };

/** Days take their turn, so that any twelve in a row have each line once. */
const DAY_CASES: readonly (readonly DayCase[])[] = [
  [CANCELLED, MOVED],
  [UNREACHABLE, { kind: "pending", status: "pending" }],
  [UNREACHABLE, { kind: "proposed", status: "proposed", at: null }],
  [CANCELLED, { ...MOVED, versionId: "3" }],
  [UNREACHABLE, { kind: "waitlist", status: "waitlist", at: null }],
  [UNREACHABLE, CONFIRMED],
  [CANCELLED, MOVED],
  [UNREACHABLE, { kind: "mistake", status: "entered-in-error" }],
  [{
    kind: "elsewhere",
    status: "booked",
    location: { reference: `Location/${UNLISTED_LOCATION}`, display: "Harbour Pop-up" },
  }],
  [CANCELLED, MOVED],
  // Broken: FHIR wants a start of a booked appointment
  [UNREACHABLE, { kind: "broken", status: "booked", at: null }],
  [CANCELLED, CONFIRMED],
];

/** What the desk enters when the day is over, by turns. */
const CLOSING_STATUSES = [["fulfilled", "noshow"], ["arrived", "checked-in"]];

/**
 * The appointments of one local day at all sites, at their last version.
 *
 * They depend on the day and the seed alone: whoever asks, and whenever, sees the same. What is not shown yet is among them,
 * with `meta.lastUpdated` at the midnight (UTC) from which it is, so that an import that asks for changes since its last
 * pass misses none.
 */
export function appointmentsOn(
  day: Temporal.PlainDate,
  { seed, registryOf }: { seed: string; registryOf: (site: Site) => Registry },
): Resource[] {
  const freeSlots = new Map(
    SITES.map((site) => [site, shuffled(`${seed}/${site.id}/${day}/slots`, SLOTS)]),
  );
  return draftsOn(day).map((draft) => {
    const at = draft.at === undefined ? freeSlots.get(draft.site)?.pop() ?? OPENS_AT : draft.at;
    return createAppointment({ ...draft, at, day }, { seed, ...registryOf(draft.site) });
  });
}

function draftsOn(day: Temporal.PlainDate): Draft[] {
  const open = SITES.filter((site) => site.openOn.includes(day.dayOfWeek));
  const turn = daysSinceEpoch(day);
  const siteAt = (offset: number) => open[(turn + offset) % open.length] as Site;
  const shownFrom = day.subtract({ days: BOOKED_AHEAD_DAYS });
  const dayCases = DAY_CASES[turn % DAY_CASES.length] ?? [];
  return [
    ...open.map((site) => ({ site, kind: "visit", status: "booked", shownFrom })),
    ...dayCases.map((dayCase, index) => ({ site: siteAt(index), shownFrom, ...dayCase })),
    ...open.flatMap((site) =>
      site.lateBookingsAt.map((at, index) => ({
        site,
        kind: `late${index + 1}`,
        status: "booked",
        at,
        shownFrom: utcDate(day, OPENS_AT, site),
      }))
    ),
    ...(CLOSING_STATUSES[turn % CLOSING_STATUSES.length] ?? []).map((status, index) => {
      const site = siteAt(index);
      return {
        site,
        kind: status,
        status,
        shownFrom: utcDate(day, CLOSES_AT, site).add({ days: 1 }),
      };
    }),
    ...SITES.flatMap((site) => clockChangeDrafts(day, site)),
  ];
}

/** One on the day the clocks change, which is a Sunday (the doctor on call), and one a day later. */
function clockChangeDrafts(day: Temporal.PlainDate, site: Site): Draft[] {
  return [{ days: 0, at: "08:30" }, { days: 1, at: "09:00" }].flatMap(({ days, at }) => {
    const change = day.subtract({ days });
    if (!changesClocks(change, site.timeZone)) return [];
    const shownFrom = clockChangeAnnounced(change, site.timeZone);
    return [{ site, kind: "clocks", status: "booked", at, shownFrom }];
  });
}

function createAppointment(
  draft: Draft & { at: string | null; day: Temporal.PlainDate },
  { seed, patients, practitioners, location }: Registry & { seed: string },
): Resource {
  const { site, day, at, status, versionId = "1", participantStatus = "needs-action" } = draft;
  const id = `${site.id}-${day.toString().replaceAll("-", "")}-${draft.kind}`;
  const reachable = draft.patients !== "unreachable";
  const eligible = patients.filter((_, index) => PATIENT_CASES[index]?.reachable === reachable);
  const patient = shuffled(`${seed}/${id}/patient`, eligible)[0] as Resource;
  const practitioner = shuffled(`${seed}/${id}/practitioner`, practitioners)[0] as Resource;
  const shownAt = draft.shownFrom.toZonedDateTime("UTC");
  const bookedBefore = integerOf(`${seed}/${id}/created`, { min: 30, max: 12 * 60 });
  return {
    resourceType: "Appointment",
    id,
    meta: { versionId, lastUpdated: shownAt.toInstant().toString() },
    status,
    ...(status === "cancelled" ? { cancelationReason: { text: "Cancelled by the patient" } } : {}),
    ...(at === null ? {} : times(day.toZonedDateTime({ timeZone: site.timeZone, plainTime: at }))),
    created: shownAt.subtract({ minutes: bookedBefore }).toInstant().toString(),
    participant: [
      { actor: referenceTo(patient), required: "required", status: participantStatus },
      { actor: referenceTo(practitioner), required: "required", status: "accepted" },
      { actor: draft.location ?? referenceTo(location), required: "required", status: "accepted" },
    ],
  };
}

function times(start: Temporal.ZonedDateTime): Record<string, unknown> {
  const end = start.add({ minutes: DURATION_MINUTES });
  const local = (time: Temporal.ZonedDateTime) => time.toString({ timeZoneName: "never" });
  return { start: local(start), end: local(end), minutesDuration: DURATION_MINUTES };
}

/** The date in UTC when it is `time` on `day` at the site. */
function utcDate(day: Temporal.PlainDate, time: string, { timeZone }: Site): Temporal.PlainDate {
  return day.toZonedDateTime({ timeZone, plainTime: time }).withTimeZone("UTC").toPlainDate();
}

function daysSinceEpoch(day: Temporal.PlainDate): number {
  return new Temporal.PlainDate(1970, 1, 1).until(day).days;
}
