import type postgres from "postgres";
import type { Call } from "../../src/shared/delivery/provider.ts";
import type { AppointmentNeed, Mode } from "../../src/shared/domain/delivery.ts";
import type { QuietHours } from "../../src/shared/domain/clinic.ts";
import { isQuiet } from "../../src/shared/domain/quiet-hours.ts";
import type { LedgerCheck } from "./check-ledger.ts";
import { type ClinicRecords, recordsDuring } from "./clinic-records.ts";
import type { History } from "./history.ts";
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
  clinicId: string;
  quiet: QuietHours | null;
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
  /** Deliveries by their number and words. */
  const asked = new Map<string, Set<string>>();

  return async ({ delivery, address, message }, { leftAt, messageId }) => {
    const { id, attempt, channel, attemptedAt } = delivery;
    const told = await readTold(sql, { id, address, leasedAt: attemptedAt });
    if (told === null) return fail(`a call for nobody's delivery ${id}`);
    const broken = (rule: string) =>
      fail(`${rule}: ${channel} ${id} attempt ${attempt}, leased at ${attemptedAt.toISOString()}`);

    if (attempts.has(`${id}/${attempt}`)) broken("an attempt is one call");
    attempts.add(`${id}/${attempt}`);
    if (told.mode !== "live") broken("a test stays here");
    if (leftAt > delivery.expiresAt.getTime() * 1_000 + 1_000) broken("nothing after its expiry");
    if (timeline.now() - leftAt > WIRE_MICROS) broken("the simulation's wire is too long");
    if (told.suppressed) broken("nothing to an address on the stop list");
    checkRecords(told, delivery, broken);
    if (channel === "sms") checkText({ id, to: address, text: message.text }, broken);
    else checkMail({ id, attempt, messageId }, broken);
  };

  /** What was known in the second before the lease: to have gone by any of it is right. */
  function checkRecords(
    told: Told,
    { channel, attemptedAt }: Call["delivery"],
    broken: (rule: string) => void,
  ): void {
    const at = attemptedAt.getTime() * 1_000 + 999;
    const known = recordsDuring(history.records, { at, beforeMicros: GRACE_MICROS });
    const all = (isWrong: (records: ClinicRecords) => boolean) =>
      known.length > 0 && known.every(isWrong);
    const patientKey = `${told.clinicId} ${told.patientId}`;

    if (all((records) => isOutdated(told, records.appointments))) {
      broken(`nothing of an appointment that is not as it was told`);
    }
    if (all(({ importedAt }) => isStale(told, at, importedAt))) broken("nothing from old data");
    if (all(({ patients }) => patients.get(told.patientId ?? "")?.gone === true)) {
      broken("nothing to the dead");
    }
    if (all(({ choices }) => choices.get(patientKey)?.[channel] === false)) {
      broken("nothing to who has opted out");
    }
    const inQuietHours = ({ choices }: ClinicRecords) => {
      const quiet = choices.get(patientKey)?.quiet ?? told.quiet;
      return quiet !== null && isQuiet(attemptedAt, told.timeZone, quiet);
    };
    if (all(inQuietHours)) broken("nothing in quiet hours");
  }

  function isOutdated(
    { appointmentId, appointmentVersion, appointmentNeed, startsAt }: Told,
    appointments: ClinicRecords["appointments"],
  ): boolean {
    const record = appointments.get(appointmentId ?? "");
    if (record === undefined || appointmentNeed === "any") return false;
    // Who asked knew more than the last import
    if (appointmentVersion !== null && Number(appointmentVersion) > record.version) return false;
    if (appointmentNeed === "cancelled") return record.status === "booked";
    return record.status !== "booked" || record.startsAt !== (startsAt?.getTime() ?? 0) * 1_000;
  }

  function isStale({ maxAgeMs }: Told, at: number, importedAt: number | null): boolean {
    return maxAgeMs !== null && at - (importedAt ?? 0) > maxAgeMs * 1_000 + GRACE_MICROS;
  }

  /**
   * A patient gets a text once, unless it failed. Two in the same words to the same number are one as good as the other:
   * of these there are no more than there are deliveries.
   */
  function checkText(
    { id, to, text }: { id: string; to: string; text: string },
    broken: (rule: string) => void,
  ): void {
    const askedFor = asked.get(`${to} ${text}`) ?? new Set();
    asked.set(`${to} ${text}`, askedFor.add(id));
    const same = history.messages.filter((message) =>
      message.to === to && message.text === text && !message.reportedFailed
    );
    const own = history.messages.filter(({ deliveryId, reportedFailed }) =>
      deliveryId === id && !reportedFailed
    );
    if (own.length > 0 && same.length >= askedFor.size) broken("no text message twice");
  }

  /** An email goes out again only where nobody can say whether it left. */
  function checkMail(
    { id, attempt, messageId }: { id: string; attempt: number; messageId: string },
    broken: (rule: string) => void,
  ): void {
    for (const message of history.messages.filter(({ deliveryId }) => deliveryId === id)) {
      if (message.providerId !== messageId) broken("a repeat has the Message-ID of the first");
      if (ledger.wasSent(id, message.attempt)) broken("what was recorded as sent is sent");
      if (!history.accidents.has(`${id}/${message.attempt}`)) {
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
           n.clinic_id, n.time_zone,
           case when n.quiet_from is not null then jsonb_build_object(
             'from', to_char(n.quiet_from, 'HH24:MI'), 'until', to_char(n.quiet_until, 'HH24:MI')) end as quiet,
           exists (select from delivery.suppression s
                    where s.clinic_id = n.clinic_id and s.channel = d.channel and s.address = lower(${address})
                      and s.created_at < ${leasedAt}) as suppressed
      from delivery.delivery d
      join delivery.notification n on n.id = d.notification_id
     where d.id = ${id}`;
  return told ?? null;
}
