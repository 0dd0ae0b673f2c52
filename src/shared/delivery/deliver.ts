import type { Db } from "../database/connect.ts";
import { recordPretendReceipts, suppressAddress } from "../database/receipts.ts";
import { afterAttempt, afterEnquiry } from "../domain/after-attempt.ts";
import type { Clinic } from "../domain/clinic.ts";
import type { Enquiry, Outcome } from "../domain/outcome.ts";
import type { Hint, Verdict } from "../messaging/queue.ts";
import { createBatcher } from "../runtime/batch.ts";
import { type Clock, systemClock } from "../runtime/clock.ts";
import { describeError, type Log } from "../runtime/log.ts";
import type { Templates } from "../templates/templates.ts";
import { BATCH_MAX, createLeasing, type Held, LINGER_MS } from "./leasing.ts";
import type { DeliveryMetrics } from "./metrics.ts";
import type { Pacing } from "./pacing.ts";
import { createPretendProvider } from "./pretend-provider.ts";
import { type Call, CALL_TIMEOUT_MS, type Provider } from "./provider.ts";
import { createRecording, RECORD_MAX_MS } from "./recording.ts";
import { createRoom, type Room } from "./room.ts";
import { traceDelivery } from "./trace.ts";

export type DeliverParts = {
  sql: Db;
  clinics: ReadonlyMap<string, Clinic>;
  templates: Pick<Templates, "render">;
  provider: Provider;
  pacing: Pacing;
  metrics: DeliveryMetrics;
  log: Log;
  /** Calls of one sender at once. */
  callsPerSender?: number | undefined;
  clock?: Clock | undefined;
  /** From 0 to 1: spreads retries. */
  random?: (() => number) | undefined;
};

const CALLS_PER_SENDER = 25;

/** How long a delivery waits whose sender's calls do not end. */
const CROWDED_MS = 30_000;

/**
 * Makes the handler of one hint. Any number may run at once, in any number of processes, on the same hints: the lease
 * sorts them out. No database connection is held while the provider is called.
 */
export function createDeliver(parts: DeliverParts): (hint: Hint) => Promise<Verdict> {
  const { sql, pacing, metrics, clock = systemClock, random = Math.random } = parts;
  const lease = createLeasing(sql, clock);
  const record = createRecording(sql, clock);
  const pretend = createPretendProvider();
  const receivePretend = createPretendReceipts(sql, clock);
  const room = createRoom({ perSender: parts.callsPerSender ?? CALLS_PER_SENDER, clock });
  const context = (delivery: Held) => ({ ...delivery, now: delivery.now(), random: random() });

  async function deliver({ deliveryId }: Hint): Promise<Verdict> {
    if (!await pacing.waitForTurn(deliveryId)) return "ack";
    const delivery = await lease(deliveryId);
    if (delivery === null) return "ack";

    const { id, attempt } = delivery;
    const provider = delivery.mode === "test" ? pretend : parts.provider;
    if (delivery.task === "reconcile") {
      const enquiry = await enquire(delivery, provider, parts);
      const clinic = delivery.channel === "email"
        ? parts.clinics.get(delivery.clinicId)
        : undefined;
      const policy = clinic?.unclearEmail ?? "hold";
      const after = afterEnquiry(enquiry, { ...context(delivery), policy });
      await record({ id, attempt, ...after });
      if (enquiry.kind === "sender_unusable") await pacing.pause(delivery, enquiry.reason);
      else await pacing.showedNothing(delivery, { answered: enquiry.kind !== "unavailable" });
    } else {
      const outcome = await send(delivery, provider, { ...parts, room }) ??
        { kind: "not_called", afterMs: CROWDED_MS * (0.5 + random()) };
      await record({ id, attempt, ...afterAttempt(outcome, context(delivery)) });
      await takeNote(outcome, delivery, parts);
      if (outcome.kind === "sent" && delivery.mode === "test") {
        await receivePretend({ deliveryId: id, attempt, providerId: outcome.providerId });
      }
    }
    return "ack";
  }

  return async (hint) => {
    metrics.inFlight(1);
    try {
      return await traceDelivery(hint, () => deliver(hint));
    } finally {
      metrics.inFlight(-1);
    }
  };
}

/** Null: the sender's calls do not end, and others would wait behind them. */
async function send(
  delivery: Held,
  provider: Provider,
  { room, ...parts }: DeliverParts & { room: Room },
): Promise<Outcome | null> {
  const call = prepareCall(delivery, parts);
  if (call === null) {
    const reason = "config_error";
    return { kind: "refused", status: "technical_failure", reason, code: reason };
  }
  return await room(delivery.senderId, async () => {
    // Only a process that stood still comes this late. A call now could outlive the lease
    if (delivery.leftMs() < CALL_TIMEOUT_MS + RECORD_MAX_MS) return { kind: "not_called" };

    const startedAt = performance.now();
    const outcome = await provider.send(call);
    parts.metrics.called(outcome.kind, (performance.now() - startedAt) / 1_000);
    return outcome;
  });
}

async function enquire(delivery: Held, provider: Provider, parts: DeliverParts): Promise<Enquiry> {
  const call = prepareCall(delivery, parts);
  const enquiry = call === null ? unaskable(delivery) : await provider.enquire(call);
  const { id, attempt } = delivery;
  parts.metrics.settled(enquiry.kind);
  parts.log.info("asked the provider", { delivery: id, attempt, answer: enquiry.kind });
  return enquiry;
}

/** Nobody can be asked about an email, with words or without. A text's template may be back tomorrow. */
function unaskable({ channel, address }: Held): Enquiry {
  if (channel === "email" || address === null) return { kind: "unanswerable" };
  return { kind: "unavailable", code: "config_error" };
}

/** Null when the clinic, its sender or the template is no longer there, or the template has no words for this. */
function prepareCall(delivery: Held, { clinics, templates, log }: DeliverParts): Call | null {
  const { id, address, channel, clinicId, template, startsAt } = delivery;
  const clinic = clinics.get(clinicId);
  if (clinic?.senders[channel] === undefined || address === null) {
    log.error("no sender or no address", { delivery: id, clinic: clinicId, channel });
    return null;
  }
  try {
    const message = templates.render({
      template,
      channel,
      clinic,
      locale: delivery.locale,
      name: delivery.name,
      data: delivery.data ?? {},
      appointment: startsAt === null
        ? null
        : { startsAt, timeZone: delivery.appointmentZone ?? clinic.timeZone },
      patientZone: delivery.timeZone,
      now: delivery.attemptedAt, // An enquiry must find the words of the attempt it asks about
    });
    const usefulMs = delivery.expiresAt.getTime() - delivery.now().getTime();
    return { delivery, address, clinic, message, usefulMs };
  } catch (error) {
    log.error("cannot render", { delivery: id, template, channel, ...describeError(error) });
    return null;
  }
}

/** Tells of an outcome, and what it means for others than this delivery: its sender, and its address. */
async function takeNote(
  outcome: Outcome,
  delivery: Held,
  { sql, pacing, metrics, log }: DeliverParts,
): Promise<void> {
  const { id, attempt, senderId, clinicId, channel, address } = delivery;
  metrics.settled(outcome.kind);
  if (outcome.kind === "sent") {
    metrics.late(Math.max(delivery.now().getTime() - delivery.dueAt.getTime(), 0) / 1_000);
    await pacing.worked(delivery);
    return;
  }

  const code = outcome.kind === "not_called" ? undefined : outcome.code;
  log.info("not sent", { delivery: id, attempt, outcome: outcome.kind, code });
  if (outcome.kind === "sender_unusable") {
    log.error("sender is unusable", { sender: senderId, code });
    await pacing.pause(delivery, outcome.reason);
  } else {
    await pacing.showedNothing(delivery, { answered: outcome.kind === "refused" });
  }
  if (outcome.kind === "refused" && outcome.suppress !== undefined && address !== null) {
    const source = `${channel} ${outcome.code}`;
    await suppressAddress(sql, { clinicId, channel, address, reason: outcome.suppress, source });
  }
}

/** What a provider would have told later of a message in test mode, many in one statement. */
function createPretendReceipts(sql: Db, clock: Clock) {
  return createBatcher(
    { max: BATCH_MAX, lingerMs: LINGER_MS, clock },
    async (receipts: Parameters<typeof recordPretendReceipts>[1][number][]) => {
      await recordPretendReceipts(sql, receipts);
      return receipts.map(() => undefined);
    },
  );
}
