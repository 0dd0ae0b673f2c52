import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { outsideQuietHours, type QuietHoursOptions } from "../../src/shared/domain/quiet-hours.ts";

const NIGHT = { from: "21:00", until: "08:00" };
const LUNCH = { from: "12:30", until: "14:00" };

/** Reads and prints moments as wall clock of the zone, so that the cases can be read. */
function outside(at: string, changes: Partial<Record<keyof QuietHoursOptions, unknown>> = {}) {
  const options = {
    zone: "Europe/London",
    quiet: NIGHT,
    expiresAt: new Date("2100-01-01T00:00:00Z"),
    now: new Date("2000-01-01T00:00:00Z"),
    ...changes,
  } as QuietHoursOptions;
  const result = outsideQuietHours(new Date(at), options);
  return result === null
    ? null
    : Temporal.Instant.fromEpochMilliseconds(result.getTime()).toZonedDateTimeISO(options.zone)
      .toString({ timeZoneName: "never", smallestUnit: "minute" });
}

describe("outsideQuietHours()", () => {
  const cases: [string, string, string, Partial<QuietHoursOptions>][] = [
    ["leaves a time in the day", "2026-06-01T11:00Z", "2026-06-01T12:00+01:00", {}],
    ["leaves any time when there are none", "2026-06-01T01:00Z", "2026-06-01T02:00+01:00", {
      quiet: null,
    }],
    ["defers the evening to the next morning", "2026-06-01T21:00Z", "2026-06-02T08:00+01:00", {}],
    [
      "defers the small hours to the same morning",
      "2026-06-02T02:00Z",
      "2026-06-02T08:00+01:00",
      {},
    ],
    ["counts the first minute as quiet", "2026-06-01T20:00Z", "2026-06-02T08:00+01:00", {}],
    ["counts the last minute as not", "2026-06-02T07:00Z", "2026-06-02T08:00+01:00", {}],
    ["defers within a day", "2026-06-01T12:00Z", "2026-06-01T14:00+01:00", { quiet: LUNCH }],
    [
      "keeps the wall clock when the clocks go forward",
      "2026-03-28T23:00Z",
      "2026-03-29T08:00+01:00",
      {},
    ],
    [
      "keeps the wall clock when the clocks go back",
      "2026-10-24T22:00Z",
      "2026-10-25T08:00+00:00",
      {},
    ],
    [
      "keeps it in the southern hemisphere, forward",
      "2026-09-26T10:00Z",
      "2026-09-27T08:00+13:00",
      {
        zone: "Pacific/Auckland",
      },
    ],
    ["keeps it in the southern hemisphere, back", "2026-04-04T09:00Z", "2026-04-05T08:00+12:00", {
      zone: "Pacific/Auckland",
    }],
    ["moves an end that is skipped forward", "2026-03-29T00:10Z", "2026-03-29T02:30+01:00", {
      quiet: { from: "22:00", until: "01:30" },
    }],
    ["waits for the second of two ends", "2026-10-25T00:10Z", "2026-10-25T01:30+00:00", {
      quiet: { from: "22:00", until: "01:30" },
    }],
    ["defers by half an hour's change", "2026-10-03T15:20Z", "2026-10-04T02:45+11:00", {
      zone: "Australia/Lord_Howe",
      quiet: { from: "22:00", until: "02:15" },
    }],
    ["knows zones ahead by fourteen hours", "2026-06-01T08:00Z", "2026-06-02T08:00+14:00", {
      zone: "Pacific/Kiritimati",
    }],
    ["knows zones of three quarters", "2026-06-01T16:00Z", "2026-06-02T08:00+05:45", {
      zone: "Asia/Kathmandu",
    }],
  ];
  for (const [name, at, expected, options] of cases) {
    test(name, () => assert.equal(outside(at, options), expected));
  }

  const EARLY = { expiresAt: new Date("2026-06-02T06:45Z") }; // 07:45 in London

  test("pulls to before the hours begin when their end is too late", () => {
    assert.equal(outside("2026-06-02T05:00Z", EARLY), "2026-06-01T20:45+01:00");
  });

  test("counts an end at the expiry as too late", () => {
    const expiresAt = new Date("2026-06-02T07:00Z");
    assert.equal(outside("2026-06-02T05:00Z", { expiresAt }), "2026-06-01T20:45+01:00");
  });

  test("pulls within a day", () => {
    const expiresAt = new Date("2026-06-01T12:45Z");
    const pulled = outside("2026-06-01T12:00Z", { quiet: LUNCH, expiresAt });
    assert.equal(pulled, "2026-06-01T12:15+01:00");
  });

  test("sends at once in the last minutes before the hours begin", () => {
    const now = new Date("2026-06-01T19:50Z");
    assert.equal(outside("2026-06-02T05:00Z", { ...EARLY, now }), "2026-06-01T20:50+01:00");
  });

  test("gives up when the hours have begun and their end is too late", () => {
    const now = new Date("2026-06-01T20:00Z");
    assert.equal(outside("2026-06-02T05:00Z", { ...EARLY, now }), null);
  });

  test("gives up when the day is too short to be early in", () => {
    const quiet = { from: "08:10", until: "08:00" };
    assert.equal(outside("2026-06-02T05:00Z", { ...EARLY, quiet }), null);
  });
});
