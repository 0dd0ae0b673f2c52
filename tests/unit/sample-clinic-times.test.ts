import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Resource } from "../../src/sandbox/fhir/resource.ts";
import { SITES } from "../../src/sandbox/sample-clinic/sites.ts";
import { APPOINTMENT_STATUSES } from "../../src/shared/domain/appointment.ts";
import { planReminders, type ReminderPlan } from "../../src/shared/domain/plan-reminders.ts";
import { appointmentsOn, SAMPLE_DAYS, siteOf } from "../support/sample-clinic.ts";

const PLAN: ReminderPlan = {
  reminders: [
    { before: "P7D", channels: ["email"], strategy: "all" },
    { before: "P1D", at: "09:00", channels: ["sms", "email"], strategy: "all" },
    { before: "PT2H", channels: ["sms"], strategy: "all" },
  ],
  quietHours: { from: "21:00", until: "08:00" },
  expiresBefore: "PT15M",
};

describe("generateSampleClinic()", () => {
  for (const today of SAMPLE_DAYS) {
    test(`has appointments on the days the clocks change after ${today} and a day later`, () => {
      const appointments = appointmentsOn(today);
      for (const site of SITES) {
        const change = nextClockChange(today, site.timeZone);
        for (const days of [0, 1]) {
          const day = change.add({ days }).toString();
          const there = appointments.filter((one) =>
            siteOf(one) === site && one.status === "booked" && String(one.start).startsWith(day)
          );
          assert.ok(there.length > 0, `${site.id} ${day}`);
        }
      }
    });
  }

  for (const today of SAMPLE_DAYS) {
    test(`gives something to send at any hour of ${today}`, () => {
      const appointments = appointmentsOn(today);
      for (let hour = 0; hour < 24; hour++) {
        const now = new Date(Date.parse(today) + hour * 3_600_000);
        assert.ok(appointments.some((appointment) => isReminderDue(appointment, now)), `${hour} h`);
      }
    });
  }

  test("has late bookings, made after the reminder of the day before was due", () => {
    const late = appointmentsOn("2026-11-24").filter(({ id }) => /-20261124-late\d$/.test(id));
    assert.equal(new Set(late.map(siteOf)).size, SITES.length);
    for (const appointment of late) {
      const start = zonedStart(appointment);
      const reminder = start.subtract({ days: 1 }).withPlainTime("09:00");
      assert.ok(Date.parse(appointment.meta.lastUpdated) > reminder.epochMilliseconds);
      assert.ok(Date.parse(appointment.meta.lastUpdated) < start.epochMilliseconds);
    }
  });

  test("has appointments of the next two hours most of the time, of tomorrow, and of a week ahead", () => {
    const now = Date.parse("2026-11-24");
    const starts = appointmentsOn("2026-11-24")
      .filter(({ status, start }) => status === "booked" && start !== undefined)
      .map(({ start }) => (Date.parse(String(start)) - now) / 3_600_000);
    const anyWithin = (from: number, until: number) =>
      starts.some((hours) => hours > from && hours <= until);
    const hours = Array.from({ length: 24 }, (_, hour) => hour);
    assert.ok(hours.filter((hour) => anyWithin(hour, hour + 2)).length >= 14);
    assert.ok(anyWithin(24, 48));
    assert.ok(anyWithin(7 * 24, 8 * 24));
  });
});

function nextClockChange(today: string, timeZone: string): Temporal.PlainDate {
  const change = Temporal.PlainDate.from(today).toZonedDateTime("UTC").withTimeZone(timeZone)
    .getTimeZoneTransition("next");
  if (change === null) throw new Error(`the clocks of ${timeZone} do not change`);
  return change.toPlainDate();
}

function zonedStart(appointment: Resource): Temporal.ZonedDateTime {
  const zone = siteOf(appointment)?.timeZone ?? "UTC";
  return Temporal.Instant.from(String(appointment.start)).toZonedDateTimeISO(zone);
}

/** As the services would plan it on the first day they see it. */
function isReminderDue(appointment: Resource, now: Date): boolean {
  const { start } = appointment;
  const site = siteOf(appointment);
  const status = APPOINTMENT_STATUSES.find((status) => status === appointment.status);
  const unreachable = appointment.id.endsWith("-unreachable");
  if (site === undefined || status === undefined || start === undefined || unreachable) {
    return false;
  }
  const planned = planReminders({
    appointment: {
      status,
      startsAt: new Date(String(start)),
      timeZone: site.timeZone,
      confirmed: appointment.id.endsWith("-confirmed"),
      firstPlan: true,
    },
    plan: PLAN,
  }, now);
  return planned.some(({ status, dueAt }) => status === "planned" && dueAt <= now);
}
