import type postgres from "postgres";
import type { Call } from "../../src/shared/delivery/provider.ts";
import type { AppointmentNeed, Mode } from "../../src/shared/domain/delivery.ts";
import { isQuiet } from "../../src/shared/domain/quiet-hours.ts";
import type { LedgerCheck } from "./check-ledger.ts";
import { type History, stateAt } from "./history.ts";
import type { SimulatedProcess } from "./simulated-process.ts";
import type { Simulation } from "./simulation.ts";

type Told = {
  mode: Mode;
  appointmentId: string | null;
  appointmentVersion: string | null;
  appointmentNeed: AppointmentNeed;
  startsAt: Date | null;
  patientId: string | null;
  maxAgeMs: number | null;
  quietFrom: string | null;
  quietUntil: string | null;
  timeZone: string;
  suppressed: boolean;
};

const GRACE_MICROS = 1e6;
/** From the last look at the clock to the provider: what is on the wire cannot be called back. */
const WIRE_MICROS = 5e6;

/** Judges a call at the moment it reaches the provider: should the patient get this, as things were at the lease? */
export function createCallCheck(
  { timeline, fail }: Simulation,
  { sql, history, ledger }: { sql: postgres.Sql; history: History; ledger: LedgerCheck },
): (call: Call, arrived: { leftAt: number; messageId: string }) => Promise<void> {
  const attempts = new Set<string>();

  return async ({ delivery, address }, { leftAt, messageId }) => {
    const { id, attempt, channel, attemptedAt } = delivery;
    const told = await readTold(sql, { id, address, leasedAt: attemptedAt });
    if (told === null) return fail(`a call for nobody's delivery ${id}`);
    const broken = (rule: string) =>
      fail(`${rule}: ${channel} ${id} attempt ${attempt}, leased at ${attemptedAt.toISOString()}`);
    const leasedAt = attemptedAt.getTime() * 1_000;

    if (attempts.has(`${id}/${attempt}`)) broken("an attempt is one call");
    attempts.add(`${id}/${attempt}`);
    if (told.mode !== "live") broken("a test stays here");
    if (leftAt > delivery.expiresAt.getTime() * 1_000 + 1_000) broken("nothing after its expiry");
    if (timeline.now() - leftAt > WIRE_MICROS) broken("the simulation's wire is too long");
    if (told.suppressed) broken("nothing to an address on the stop list");
    if (isStale(told, leasedAt)) broken("nothing from old data");
    checkAppointment(told, leasedAt, broken);
    checkPatient(told, delivery, broken);
    checkRepeat({ id, attempt, messageId }, broken);
  };

  function isStale({ maxAgeMs }: Told, leasedAt: number): boolean {
    if (maxAgeMs === null) return false;
    const imported = history.imports.findLast((at) => at <= leasedAt + 1_000) ?? -Infinity;
    return leasedAt - imported > maxAgeMs * 1_000 + GRACE_MICROS;
  }

  function checkAppointment(told: Told, leasedAt: number, broken: (rule: string) => void): void {
    if (told.appointmentId === null || told.appointmentNeed === "any") return;
    const states = history.appointments.get(told.appointmentId) ?? [];
    const state = stateAt(states, leasedAt - GRACE_MICROS);
    if (state === null) return;
    // Who asked knew more than the last import
    if (told.appointmentVersion !== null && Number(told.appointmentVersion) > state.version) return;
    if (told.appointmentNeed === "booked") {
      if (state.status !== "booked") broken(`nothing for an appointment that is ${state.status}`);
      if (state.startsAt !== told.startsAt?.getTime()) broken("nothing for one that has moved");
    } else if (state.status === "booked") broken("no cancellation of one that takes place");
  }

  function checkPatient(
    { patientId, quietFrom, quietUntil, timeZone }: Told,
    { channel, attemptedAt }: Call["delivery"],
    broken: (rule: string) => void,
  ): void {
    const states = history.patients.get(patientId ?? "") ?? [];
    const patient = stateAt(states, attemptedAt.getTime() * 1_000 - GRACE_MICROS);
    if (patient?.gone === true) broken("nothing to the dead");
    if (patient?.consent[channel] === false) broken("nothing to who has opted out");
    const own = quietFrom === null || quietUntil === null
      ? null
      : { from: quietFrom.slice(0, 5), until: quietUntil.slice(0, 5) };
    const quiet = patient?.quiet ?? own;
    if (quiet !== null && isQuiet(attemptedAt, timeZone, quiet)) broken("nothing in quiet hours");
  }

  /** A patient gets it once: but for a message that failed, or an email of which nobody can say whether it left. */
  function checkRepeat(
    { id, attempt, messageId }: { id: string; attempt: number; messageId: string },
    broken: (rule: string) => void,
  ): void {
    const earlier = history.messages.filter(({ deliveryId, reportedFailed }) =>
      deliveryId === id && !reportedFailed
    );
    for (const message of earlier) {
      if (message.channel === "sms") broken("no text message twice");
      else if (ledger.wasSent(id, message.attempt)) broken("what was recorded as sent is sent");
      else if (message.providerId !== messageId) broken("a repeat has the Message-ID of the first");
      else if (!history.accidents.has(`${id}/${message.attempt}`)) {
        broken(`no email twice without an accident (attempt ${message.attempt} of ${attempt})`);
      }
    }
  }
}

/** Keeps in mind which attempts a process has in hand: should it meet trouble, their end may be lost. */
export function createAccidentWatch(history: History) {
  const inHand = new Map<SimulatedProcess, Set<string>>();
  return {
    begin: (process: SimulatedProcess, attempt: string) => {
      const attempts = inHand.get(process) ?? new Set();
      inHand.set(process, attempts.add(attempt));
    },
    onTrouble: (process: SimulatedProcess) => {
      for (const attempt of inHand.get(process) ?? []) history.accidents.add(attempt);
    },
  };
}

async function readTold(
  sql: postgres.Sql,
  { id, address, leasedAt }: { id: string; address: string; leasedAt: Date },
): Promise<Told | null> {
  const [told] = await sql<Told[]>`
    select n.mode, n.appointment_id, n.appointment_version, n.appointment_need, n.starts_at, n.patient_id,
           (extract(epoch from n.max_data_age) * 1e3)::float8 as max_age_ms,
           n.quiet_from::text, n.quiet_until::text, n.time_zone,
           exists (select from delivery.suppression s
                    where s.clinic_id = n.clinic_id and s.channel = d.channel and s.address = lower(${address})
                      and s.created_at < ${leasedAt}) as suppressed
      from delivery.delivery d
      join delivery.notification n on n.id = d.notification_id
     where d.id = ${id}`;
  return told ?? null;
}
