import {
  type SourceAppointment,
  upsertAppointments,
} from "../../src/shared/database/appointments.ts";
import { upsertPatients } from "../../src/shared/database/patients.ts";
import { suppressAddress } from "../../src/shared/database/receipts.ts";
import { moveCursors } from "../../src/shared/database/sync-cursors.ts";
import type { Channel } from "../../src/shared/domain/delivery.ts";
import type { Network } from "./network.ts";
import type { SimulatedDatabase } from "./simulated-database.ts";
import { isInjected, type SimulatedProcess } from "./simulated-process.ts";
import type { Simulation } from "./simulation.ts";
import { HOUR_MS, type World } from "./world.ts";

export type ClinicDesk = {
  /** Reads everything the clinic's system says into our database, once there is a process that can. */
  importAll: () => void;
  /** Something changes, and is imported at once. */
  changeNow: () => Promise<void>;
};

/** The clinic: appointments are cancelled and moved, patients die and opt out, and all of it is imported some time. */
export function openClinicDesk(
  simulation: Simulation,
  { world, database, network, importer, activeMs }: {
    world: World;
    database: SimulatedDatabase;
    network: Network;
    importer: () => SimulatedProcess | null;
    activeMs: number;
  },
): ClinicDesk {
  const { random, timeline, fail, trace } = simulation;
  async function importOnce(process: SimulatedProcess): Promise<void> {
    const sql = database.connect(process);
    const appointments = structuredClone(world.appointments) as World["appointments"];
    const sources = structuredClone(world.patients);
    // Two imports may overtake each other: an older state must change nothing
    if (random.chance(0.2)) {
      const lagMs = random.between(1_000, 60_000);
      await new Promise<void>((go) => void process.clock.after(lagMs, go));
    }
    await upsertPatients(sql, sources);
    // One at a time: those that change at the same moment have no order in which they are planned
    for (const appointment of appointments) await upsertAppointments(sql, [appointment]);
    await moveCursors(sql, [{ resource: "Appointment", cursorAt: timeline.date(), places: null }]);
  }

  function importAll(): void {
    const process = importer();
    process?.reach(() =>
      void importOnce(process).catch((error) => {
        if (!isInjected(error)) fail(`an import failed: ${error}`);
      })
    );
  }

  const newVersion = (resource: { version: string | null; sourceUpdatedAt: Date | null }) => {
    resource.version = String(Number(resource.version) + 1);
    resource.sourceUpdatedAt = timeline.date();
  };

  const changes: readonly (() => void | Promise<void>)[] = [
    () => changeAppointment((one) => one.status = "cancelled"),
    () => changeAppointment((one) => one.status = random.pick(["arrived", "pending", "booked"])),
    () =>
      changeAppointment((one) =>
        one.startsAt = new Date(one.startsAt!.getTime() + random.pick([-0.5, 1, 24]) * HOUR_MS)
      ),
    () => changePatient((one) => one.deceased = true),
    () => changePatient((one) => one.active = false),
    () => changePatient((one) => one.givenName = "Another"),
    () => changePatient((one) => one.phone = "+447700900777"),
    () => choose(random.pick(["email", "sms"])),
    () => {
      const { id } = random.pick(world.appointments);
      const headers = { authorization: "Bearer live" };
      trace("desk", `withdraws what is about ${id}`);
      void network.request(`/v1/appointments/${id}/cancel-notifications`, {
        method: "POST",
        headers,
      });
    },
    () => {
      const { clinicId } = random.pick(world.appointments);
      const stop = random.pick(
        [
          { channel: "sms", address: "+447700900555" },
          { channel: "email", address: "ana@example.test" },
          { channel: "sms", address: "+447700900100" },
        ] as const,
      );
      return database.act((sql) =>
        suppressAddress(sql, { clinicId, ...stop, reason: "operator", source: "simulation" })
      );
    },
  ];

  function changeAppointment(change: (appointment: SourceAppointment) => void): void {
    const appointment = random.pick(world.appointments);
    change(appointment);
    newVersion(appointment);
    trace(
      "desk",
      `${appointment.id} is ${appointment.status} at ${appointment.startsAt.toISOString()}`,
    );
  }

  function changePatient(change: (patient: World["patients"][number]) => void): void {
    const patient = random.pick(world.patients);
    change(patient);
    newVersion(patient);
  }

  /** A patient's own choice: what they do not want, and when they sleep. */
  async function choose(channel: Channel): Promise<void> {
    const patientId = random.pick(world.patients).id;
    const quiet = random.chance(0.5) ? { from: "22:00", until: "07:00" } : null;
    await database.act(async (sql) => {
      const rows = [...world.clinics.keys()].map((clinicId) => ({
        clinicId,
        patientId,
        [channel]: false,
        quietFrom: quiet?.from ?? null,
        quietUntil: quiet?.until ?? null,
        source: "simulation",
      }));
      await sql`insert into clinic.preference ${sql(rows)} on conflict do nothing`;
    });
  }

  for (let change = random.integer(0, 3); change > 0; change -= 1) {
    timeline.after(random.between(0, activeMs), async () => {
      await random.pick(changes)();
      if (random.chance(0.8)) timeline.after(random.between(0, 60_000), importAll);
    });
  }
  for (let at = 0; at < activeMs; at += 40 * 60_000) {
    if (random.chance(0.7)) timeline.after(at + random.between(0, 1_000), importAll);
  }
  return {
    importAll,
    changeNow: async () => {
      await random.pick(changes)();
      importAll();
    },
  };
}
