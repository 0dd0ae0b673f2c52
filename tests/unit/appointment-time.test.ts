import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  canWriteDates,
  createTimeWriter,
  type WrittenTime,
} from "../../src/shared/templates/appointment-time.ts";

const NOW = new Date("2026-09-01T12:00:00Z");

function write(
  locale: string,
  startsAt: string,
  zones: { timeZone?: string; readerZone?: string } = {},
): WrittenTime {
  const { timeZone = "Europe/London", readerZone = timeZone } = zones;
  const moment = { startsAt: new Date(startsAt), timeZone, readerZone, now: NOW };
  return createTimeWriter()(locale, moment);
}

describe("createTimeWriter()", () => {
  // On the days the clocks change, before and after they do; and around midnight
  const rows = [
    ["Europe/London", "2026-03-29T00:30:00Z", "Sunday 29 March", "00:30"],
    ["Europe/London", "2026-03-29T01:30:00Z", "Sunday 29 March", "02:30"],
    ["Europe/London", "2026-03-29T08:00:00Z", "Sunday 29 March", "09:00"],
    ["Europe/London", "2026-10-25T00:30:00Z", "Sunday 25 October", "01:30"],
    ["Europe/London", "2026-10-25T01:30:00Z", "Sunday 25 October", "01:30"],
    ["Europe/London", "2026-10-25T09:00:00Z", "Sunday 25 October", "09:00"],
    ["America/New_York", "2026-03-08T13:00:00Z", "Sunday 8 March", "09:00"],
    ["America/New_York", "2026-11-01T14:00:00Z", "Sunday 1 November", "09:00"],
    ["Pacific/Auckland", "2026-04-04T21:00:00Z", "Sunday 5 April", "09:00"],
    ["Pacific/Auckland", "2026-09-26T20:00:00Z", "Sunday 27 September", "09:00"],
    ["Europe/Madrid", "2026-12-03T23:30:00Z", "Friday 4 December", "00:30"],
    ["Asia/Kathmandu", "2026-12-03T20:30:00Z", "Friday 4 December", "02:15"],
  ] as const;
  for (const [timeZone, startsAt, date, time] of rows) {
    test(`writes ${startsAt} in ${timeZone} as ${date}, ${time}`, () => {
      const weekday = date.split(" ")[0];
      assert.deepEqual(write("en-GB", startsAt, { timeZone }), { weekday, date, time, zone: null });
    });
  }

  const habits = [
    ["en-GB", "Thursday 3 December", "15:30"],
    ["en-US", "Thursday, December 3", "3:30 PM"],
    ["en-NZ", "Thursday, 3 December", "3:30 pm"],
    ["es-ES", "jueves, 3 de diciembre", "15:30"],
    ["es-US", "jueves, 3 de diciembre", "3:30 p.m."],
    ["fr-DE", "jeudi 3 décembre", "15:30"],
    ["fr-CA", "jeudi 3 décembre", "15 h 30"],
    ["de-DE", "Donnerstag, 3. Dezember", "15:30"],
    ["cy-GB", "dydd Iau 3 Rhagfyr", "15:30"],
  ] as const;
  for (const [locale, date, time] of habits) {
    test(`writes ${date}, ${time} in ${locale}`, () => {
      const written = write(locale, "2026-12-03T15:30:00Z");
      assert.deepEqual([written.date, written.time], [date, time]);
    });
  }

  test("writes every month and weekday in Welsh", () => {
    const dates = Array.from(
      { length: 12 },
      (_, month) => write("cy", new Date(Date.UTC(2026, month, month + 1, 12)).toISOString()).date,
    );
    assert.deepEqual(dates, [
      ...["dydd Iau 1 Ionawr", "dydd Llun 2 Chwefror", "dydd Mawrth 3 Mawrth"],
      ...["dydd Sadwrn 4 Ebrill", "dydd Mawrth 5 Mai", "dydd Sadwrn 6 Mehefin"],
      ...["dydd Mawrth 7 Gorffennaf", "dydd Sadwrn 8 Awst", "dydd Mercher 9 Medi"],
      ...["dydd Sadwrn 10 Hydref", "dydd Mercher 11 Tachwedd", "dydd Sadwrn 12 Rhagfyr"],
    ]);
    assert.equal(write("cy", "2026-12-04T12:00:00Z").weekday, "dydd Gwener");
    assert.equal(write("cy", "2026-12-06T12:00:00Z").weekday, "dydd Sul");
  });

  test("writes the first of a month in French as 1er, and no other day so", () => {
    assert.equal(write("fr-FR", "2026-12-01T09:30:00Z").date, "mardi 1er décembre");
    assert.equal(write("fr-FR", "2026-12-11T09:30:00Z").date, "vendredi 11 décembre");
    assert.equal(write("es-ES", "2026-12-01T09:30:00Z").date, "martes, 1 de diciembre");
  });

  const years = [
    ["en-GB", "Friday, 1 January 2027"],
    ["es-ES", "viernes, 1 de enero de 2027"],
    ["fr-FR", "vendredi 1er janvier 2027"],
    ["de-DE", "Freitag, 1. Januar 2027"],
    ["cy-GB", "dydd Gwener 1 Ionawr 2027"],
  ] as const;
  for (const [locale, date] of years) {
    test(`writes ${date} in ${locale}, the year being another one where it takes place`, () => {
      const timeZone = "Pacific/Auckland";
      assert.equal(write(locale, "2026-12-31T20:00:00Z", { timeZone }).date, date);
    });
  }

  test("takes this year, too, from the clock where it takes place", () => {
    const newYearInAuckland = {
      startsAt: new Date("2027-01-08T20:00:00Z"),
      timeZone: "Pacific/Auckland",
      readerZone: "Pacific/Auckland",
      now: new Date("2026-12-31T20:00:00Z"),
    };
    assert.equal(createTimeWriter()("en-NZ", newYearInAuckland).date, "Saturday, 9 January");
  });

  const zones = [
    ["en-GB", "2026-07-01T08:30:00Z", "British Summer Time"],
    ["en-GB", "2026-12-03T09:30:00Z", "Greenwich Mean Time"],
    ["es-ES", "2026-07-01T08:30:00Z", "hora de verano británica"],
    ["de-DE", "2026-07-01T08:30:00Z", "Britische Sommerzeit"],
    ["fr-FR", "2026-07-01T08:30:00Z", "heure d’été britannique"],
    ["cy-GB", "2026-07-01T08:30:00Z", "Amser Haf Prydain"],
    ["cy-GB", "2026-12-03T09:30:00Z", "Amser Cymedrig Greenwich"],
  ] as const;
  for (const [locale, startsAt, zone] of zones) {
    test(`names ${zone} to a reader in Madrid`, () => {
      const written = write(locale, startsAt, { readerZone: "Europe/Madrid" });
      assert.deepEqual([written.time.endsWith("9:30"), written.zone], [true, zone]);
    });
  }

  test("names a zone without a Welsh name by its offset", () => {
    const zones = { timeZone: "Pacific/Auckland", readerZone: "Europe/London" };
    assert.equal(write("cy", "2026-12-03T09:30:00Z", zones).zone, "GMT+13:00");
    assert.equal(write("cy", "2026-07-01T09:30:00Z", zones).zone, "GMT+12:00");
  });

  for (const readerZone of ["Europe/London", "Europe/Lisbon", "Africa/Abidjan"]) {
    test(`names no zone to a reader in ${readerZone}, whose clock shows the same`, () => {
      assert.equal(write("en-GB", "2026-12-03T09:30:00Z", { readerZone }).zone, null);
    });
  }
});

describe("canWriteDates()", () => {
  for (const [locale, can] of [["en-NZ", true], ["cy", true], ["tlh", false]] as const) {
    test(`answers ${can} for ${locale}`, () => assert.equal(canWriteDates(locale), can));
  }
});
