import type postgres from "postgres";
import { v7 } from "uuid";
import {
  applyPlans,
  type AppointmentPlan,
  lockUnplannedAppointments,
  replanChangedClinics,
  type UnplannedAppointment,
} from "../shared/database/appointment-plans.ts";
import { inTransaction } from "../shared/database/transaction.ts";
import { whyNotReminded } from "../shared/domain/appointment.ts";
import type { Clinic } from "../shared/domain/clinic.ts";
import { planReminders } from "../shared/domain/plan-reminders.ts";

type Clinics = ReadonlyMap<string, Clinic>;

const BATCH_MAX = 500;

/** Plans the reminders of every appointment that is new or has changed, or whose clinic's plan has, while `mayGoOn`. */
export async function planAppointments(
  { sql, clinics, createId = () => v7() }: {
    sql: postgres.Sql;
    clinics: Clinics;
    createId?: (() => string) | undefined;
  },
  mayGoOn: () => boolean,
): Promise<void> {
  await replanChangedClinics(sql, [...clinics.values()].map(describePlan));
  while (mayGoOn()) {
    const planned = await inTransaction(sql, async (tx) => {
      const appointments = await lockUnplannedAppointments(tx, { limit: BATCH_MAX });
      if (appointments.length > 0) {
        await applyPlans(
          tx,
          appointments.map((appointment) => plan(appointment, { clinics, createId })),
        );
      }
      return appointments.length;
    });
    if (planned < BATCH_MAX) return;
  }
}

/** What of a clinic decides when its reminders are due, in one canonical text. */
function describePlan({ id, reminders, quietHours, expiresBefore }: Clinic) {
  const stages = reminders.map(({ before, at }) => [before, at ?? null]);
  const quiet = quietHours && [quietHours.from, quietHours.until];
  return { clinicId: id, plan: JSON.stringify({ stages, quiet, expiresBefore }) };
}

function plan(
  appointment: UnplannedAppointment,
  { clinics, createId }: { clinics: Clinics; createId: () => string },
): AppointmentPlan {
  const { id, sequence, clinicId, status, now } = appointment;
  const clinic = clinics.get(clinicId);
  const whyNot = whyNotReminded(status);
  if (clinic === undefined || whyNot !== null) {
    return { id, sequence, stages: [], withdrawal: whyNot ?? "operator", reminders: [] };
  }
  return {
    id,
    sequence,
    stages: clinic.reminders.map(({ before }) => before),
    withdrawal: "operator", // Whoever changed the clinic's plan took the stage out
    reminders: planReminders({ appointment, plan: clinic }, now)
      .map((reminder) => ({ id: createId(), ...reminder })),
  };
}
