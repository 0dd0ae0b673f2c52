import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { APPOINTMENT_STATUSES } from "../../src/shared/domain/appointment.ts";
import type { ReminderStage } from "../../src/shared/domain/clinic.ts";
import {
  planReminders,
  type RemindedAppointment,
  type ReminderPlan,
} from "../../src/shared/domain/plan-reminders.ts";

const LONG_AGO = "2020-01-01T00:00Z";

function stage(before: string, at?: string): ReminderStage {
  return { before, at, channels: ["sms"], strategy: "all" };
}

const WEEK_DAY_HOURS = [stage("P7D"), stage("P1D", "09:00"), stage("PT2H")];

type Case = {
  appointment?: Partial<RemindedAppointment>;
  plan?: Partial<ReminderPlan>;
  now?: string;
};

/** One line for each stage: `P1D planned 2026-06-01T09:00`, in the appointment's wall clock. */
function plan({ appointment = {}, plan = {}, now = LONG_AGO }: Case): string[] {
  const subject: RemindedAppointment = {
    status: "booked",
    startsAt: new Date("2026-06-10T13:00:00Z"), // 14:00 in London
    timeZone: "Europe/London",
    confirmed: false,
    firstPlan: true,
    ...appointment,
  };
  const settings: ReminderPlan = {
    reminders: WEEK_DAY_HOURS,
    quietHours: null,
    expiresBefore: "PT15M",
    ...plan,
  };
  return planReminders({ appointment: subject, plan: settings }, new Date(now)).map((reminder) => {
    const due = Temporal.Instant.fromEpochMilliseconds(reminder.dueAt.getTime())
      .toZonedDateTimeISO(subject.timeZone)
      .toString({ timeZoneName: "never", smallestUnit: "minute" });
    return reminder.status === "planned"
      ? `${reminder.stage} planned ${due}`
      : `${reminder.stage} ${reminder.reason}`;
  });
}

describe("planReminders()", () => {
  test("plans every stage of the clinic", () => {
    assert.deepEqual(plan({}), [
      "P7D planned 2026-06-03T14:00+01:00",
      "P1D planned 2026-06-09T09:00+01:00",
      "PT2H planned 2026-06-10T12:00+01:00",
    ]);
  });

  test("gives each its expiry, before the appointment", () => {
    const [reminder] = planReminders({
      appointment: {
        status: "booked",
        startsAt: new Date("2026-06-10T13:00:00Z"),
        timeZone: "Europe/London",
        confirmed: false,
        firstPlan: true,
      },
      plan: { reminders: [stage("P1D")], quietHours: null, expiresBefore: "PT1H30M" },
    }, new Date(LONG_AGO));
    assert.deepEqual(reminder?.expiresAt, new Date("2026-06-10T11:30:00Z"));
  });

  for (const status of APPOINTMENT_STATUSES) {
    test(`${status === "booked" ? "reminds" : "does not remind"} of one that is ${status}`, () => {
      assert.equal(plan({ appointment: { status } }).length, status === "booked" ? 3 : 0);
    });
  }

  test("plans nothing without a time", () => {
    assert.deepEqual(plan({ appointment: { startsAt: null } }), []);
  });

  test("asks nothing more of a patient who has confirmed", () => {
    assert.deepEqual(plan({ appointment: { confirmed: true } }), [
      "P7D already_confirmed",
      "P1D already_confirmed",
      "PT2H already_confirmed",
    ]);
  });
});

describe("planReminders() at a change of clocks", () => {
  // Zone, the appointment, the stage, its wall clock; what today's offset would have made of it is an hour off (F17)
  const cases: [string, string, ReminderStage, string][] = [
    ["Europe/London", "2026-03-29T09:30+01:00", stage("P1D"), "2026-03-28T09:30Z"],
    ["Europe/London", "2026-03-30T01:30+01:00", stage("P1D"), "2026-03-29T02:30+01:00"], // gap
    ["Europe/London", "2026-10-25T09:30Z", stage("P7D"), "2026-10-18T09:30+01:00"],
    ["Europe/London", "2026-10-26T01:30Z", stage("P1D"), "2026-10-25T01:30+01:00"], // overlap
    ["America/New_York", "2026-03-08T09:00-04:00", stage("P1D", "09:00"), "2026-03-07T09:00-05:00"],
    ["America/New_York", "2026-03-09T14:00-04:00", stage("P1D", "02:30"), "2026-03-08T03:30-04:00"], // gap
    ["America/New_York", "2026-11-02T14:00-05:00", stage("P1D", "01:30"), "2026-11-01T01:30-04:00"], // overlap
    ["Pacific/Auckland", "2026-09-28T02:30+13:00", stage("P1D"), "2026-09-27T03:30+13:00"], // gap
    ["Pacific/Auckland", "2026-04-06T02:30+12:00", stage("P1D"), "2026-04-05T02:30+13:00"], // overlap
    ["Pacific/Auckland", "2026-04-08T10:00+12:00", stage("P7D"), "2026-04-01T10:00+13:00"],
    ["Australia/Lord_Howe", "2026-10-05T02:15+11:00", stage("P1D"), "2026-10-04T02:45+11:00"], // gap of 30 min
    ["Australia/Lord_Howe", "2026-04-06T01:45+10:30", stage("P1D"), "2026-04-05T01:45+11:00"], // overlap
    [
      "Pacific/Kiritimati",
      "2026-06-10T08:00+14:00",
      stage("P1D", "09:00"),
      "2026-06-09T09:00+14:00",
    ],
    ["Asia/Kathmandu", "2026-06-10T08:00+05:45", stage("P7D"), "2026-06-03T08:00+05:45"],
    // Hours are elapsed time: two hours before 03:00 is 00:00 when an hour is skipped, 02:00 when one comes twice
    ["Europe/London", "2026-03-29T03:00+01:00", stage("PT2H"), "2026-03-29T00:00Z"],
    ["America/New_York", "2026-11-01T03:00-05:00", stage("PT2H"), "2026-11-01T01:00-05:00"],
    ["Pacific/Auckland", "2026-09-27T04:00+13:00", stage("PT2H"), "2026-09-27T01:00+12:00"],
    ["Australia/Lord_Howe", "2026-04-05T03:00+10:30", stage("PT2H"), "2026-04-05T01:30+11:00"],
    ["Europe/London", "2026-03-29T12:00+01:00", stage("PT24H"), "2026-03-28T11:00Z"],
  ];
  for (const [timeZone, startsAt, reminder, due] of cases) {
    test(`${reminder.before} before ${startsAt} in ${timeZone} is ${due}`, () => {
      const appointment = { timeZone, startsAt: new Date(startsAt) };
      const expected = [`${reminder.before} planned ${due}`.replace("Z", "+00:00")];
      assert.deepEqual(plan({ appointment, plan: { reminders: [reminder] } }), expected);
    });
  }
});

describe("planReminders() of a late booking", () => {
  const cases: [string, string, string[]][] = [
    ["tells the latest past stage now", "2026-06-09T10:00Z", [
      "P7D superseded",
      "P1D planned 2026-06-09T11:00+01:00",
      "PT2H planned 2026-06-10T12:00+01:00",
    ]],
    ["tells the first stage now when it alone is past", "2026-06-05T10:00Z", [
      "P7D planned 2026-06-05T11:00+01:00",
      "P1D planned 2026-06-09T09:00+01:00",
      "PT2H planned 2026-06-10T12:00+01:00",
    ]],
    ["lets the next stage do when it is less than an hour away", "2026-06-10T10:01Z", [
      "P7D superseded",
      "P1D superseded",
      "PT2H planned 2026-06-10T12:00+01:00",
    ]],
    ["tells both when the next stage is an hour away", "2026-06-10T10:00Z", [
      "P7D superseded",
      "P1D planned 2026-06-10T11:00+01:00",
      "PT2H planned 2026-06-10T12:00+01:00",
    ]],
    ["tells the last stage now when all are past", "2026-06-10T12:44Z", [
      "P7D superseded",
      "P1D superseded",
      "PT2H planned 2026-06-10T13:44+01:00",
    ]],
    ["says that there is no time left", "2026-06-10T12:50Z", [
      "P7D too_late",
      "P1D too_late",
      "PT2H too_late",
    ]],
  ];
  for (const [name, now, expected] of cases) {
    test(name, () => assert.deepEqual(plan({ now }), expected));
  }

  test("minds the stages' times, not their order in the file", () => {
    const reminders = WEEK_DAY_HOURS.toReversed();
    assert.deepEqual(plan({ now: "2026-06-10T12:30Z", plan: { reminders } }), [
      "P7D superseded",
      "P1D superseded",
      "PT2H planned 2026-06-10T13:30+01:00",
    ]);
  });

  test("omits past stages of an appointment that was planned before", () => {
    const appointment = { firstPlan: false };
    assert.deepEqual(plan({ now: "2026-06-09T10:00Z", appointment }), [
      "PT2H planned 2026-06-10T12:00+01:00",
    ]);
  });

  test("says too late of a stage whose time of day is after the expiry", () => {
    const reminders = [stage("P0D", "15:00"), stage("PT5M")];
    assert.deepEqual(plan({ plan: { reminders } }), ["PT5M too_late", "P0D too_late"]);
  });
});

describe("planReminders() with quiet hours", () => {
  const quietHours = { from: "21:00", until: "08:00" };

  test("defers a stage to their end", () => {
    const reminders = [stage("PT5H")];
    const appointment = { startsAt: new Date("2026-06-10T11:00Z") };
    assert.deepEqual(plan({ appointment, plan: { quietHours, reminders } }), [
      "PT5H planned 2026-06-10T08:00+01:00",
    ]);
  });

  test("pulls a stage to before they begin when their end is too late", () => {
    const reminders = [stage("PT2H")];
    const appointment = { startsAt: new Date("2026-06-10T07:00Z") };
    assert.deepEqual(plan({ appointment, plan: { quietHours, reminders } }), [
      "PT2H planned 2026-06-09T20:45+01:00",
    ]);
  });

  test("skips what could only disturb", () => {
    const appointment = { startsAt: new Date("2026-06-10T07:00Z") };
    assert.deepEqual(plan({ now: "2026-06-09T22:00Z", appointment, plan: { quietHours } }), [
      "P7D quiet_hours",
      "P1D quiet_hours",
      "PT2H quiet_hours",
    ]);
  });

  test("lets two stages that they bring together count as one", () => {
    const reminders = [stage("PT6H"), stage("PT4H")];
    const appointment = { startsAt: new Date("2026-06-10T11:00Z") };
    assert.deepEqual(plan({ appointment, plan: { quietHours, reminders } }), [
      "PT6H superseded",
      "PT4H planned 2026-06-10T08:00+01:00",
    ]);
  });

  test("tells a booking of the night in the morning", () => {
    assert.deepEqual(plan({ now: "2026-06-09T22:00Z", plan: { quietHours } }), [
      "P7D superseded",
      "P1D planned 2026-06-10T08:00+01:00",
      "PT2H planned 2026-06-10T12:00+01:00",
    ]);
  });
});
