import { describe, test } from "node:test";
import { createTestDatabase } from "../support/database.ts";
import { createLeaseChecks } from "../support/lease-checks.ts";
import {
  type AppointmentRow,
  insertAppointment,
  insertDelivery,
  minutesFromNow,
  type NotificationRow,
  uniqueId,
} from "../support/ledger.ts";

const { sql } = await createTestDatabase();
const { assertLeased, assertEnded } = createLeaseChecks(sql);

const STARTS_AT = minutesFromNow(24 * 60);

describe("leaseDeliveries() for an appointment", () => {
  /** A delivery about an appointment of which the clinic's system says `appointment`, and the request said `request`. */
  async function insertAbout(
    appointment: Partial<AppointmentRow>,
    request: Partial<NotificationRow> = {},
  ): Promise<string> {
    const known = await insertAppointment(sql, {
      startsAt: STARTS_AT,
      version: "2",
      ...appointment,
    });
    return await insertDelivery(sql, {
      notification: {
        clinicId: known.clinicId,
        appointmentId: known.id,
        appointmentVersion: "1",
        appointmentNeed: "booked",
        startsAt: STARTS_AT,
        ...request,
      },
    });
  }

  const moved = { startsAt: minutesFromNow(48 * 60) };

  test("sends what is still true", async () => {
    await assertLeased(await insertAbout({}));
  });

  for (const status of ["cancelled", "noshow", "entered-in-error", "pending", "waitlist"]) {
    test(`ends a reminder of one that is ${status}`, async () => {
      await assertEnded(await insertAbout({ status }), "cancelled", "appointment_cancelled");
    });
  }

  for (const status of ["arrived", "checked-in", "fulfilled"]) {
    test(`ends a reminder of one that is ${status} as too late`, async () => {
      await assertEnded(await insertAbout({ status }), "expired", "too_late");
    });
  }

  const RESCHEDULED: [string, Partial<AppointmentRow>, Partial<NotificationRow>][] = [
    ["the clinic's version is newer", { version: "2" }, { appointmentVersion: "1" }],
    ["versions are numbers, not texts", { version: "10" }, { appointmentVersion: "9" }],
    ["both are of the same version", { version: "2" }, { appointmentVersion: "2" }],
    ["the request names no version", {}, { appointmentVersion: null }],
    ["versions cannot be compared, and the clinic's system spoke last", {
      version: "W/b",
      changedAt: minutesFromNow(-1),
    }, { appointmentVersion: "W/a", createdAt: minutesFromNow(-2) }],
  ];
  for (const [why, appointment, request] of RESCHEDULED) {
    test(`ends a reminder of one that has moved when ${why}`, async () => {
      const id = await insertAbout({ ...moved, ...appointment }, request);
      await assertEnded(id, "cancelled", "appointment_rescheduled");
    });
  }

  const REQUEST_IS_LATER: [string, Partial<AppointmentRow>, Partial<NotificationRow>][] = [
    ["its version is newer", { version: "2" }, { appointmentVersion: "3" }],
    ["versions cannot be compared, and it came last", {
      version: "W/b",
      changedAt: minutesFromNow(-2),
    }, { appointmentVersion: "W/a", createdAt: minutesFromNow(-1) }],
  ];
  for (const [why, appointment, request] of REQUEST_IS_LATER) {
    test(`sends for one that has moved when the request is later: ${why}`, async () => {
      await assertLeased(await insertAbout({ ...moved, ...appointment }, request));
    });
    test(`sends for one that is cancelled when the request is later: ${why}`, async () => {
      await assertLeased(await insertAbout({ status: "cancelled", ...appointment }, request));
    });
  }

  test("sends for one that the clinic's system has not told of", async () => {
    const about = { appointmentId: uniqueId("appointment"), startsAt: STARTS_AT };
    const notification = { ...about, appointmentNeed: "booked" as const };
    await assertLeased(await insertDelivery(sql, { notification }));
  });

  test("takes no other clinic's word", async () => {
    const id = await insertAbout({ status: "cancelled" }, { clinicId: uniqueId("clinic") });
    await assertLeased(id);
  });

  test("sends the news of a cancellation while it is cancelled", async () => {
    await assertLeased(
      await insertAbout({ status: "cancelled" }, { appointmentNeed: "cancelled" }),
    );
  });

  test("ends the news of a cancellation when it is booked again", async () => {
    const id = await insertAbout({ status: "booked" }, { appointmentNeed: "cancelled" });
    await assertEnded(id, "cancelled", "superseded");
  });

  test("sends a message that needs nothing of the appointment, whatever it is", async () => {
    await assertLeased(await insertAbout({ status: "cancelled" }, { appointmentNeed: "any" }));
  });
});
