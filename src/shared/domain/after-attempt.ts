import type { Clinic } from "./clinic.ts";
import type { Reason } from "./delivery.ts";
import type { Enquiry, FailureStatus, Outcome, Retry } from "./outcome.ts";
import { backoffMs, CALLS_MAX, retryDelayMs } from "./retry-delay.ts";
import { type Change, change } from "./transition.ts";

export type AttemptContext = {
  /** Failures recorded before this one. */
  failures: number;
  now: Date;
  expiresAt: Date;
  /** From 0 to 1. */
  random: number;
};

/** A provider's list of what it took shows a message at once; this leaves it time to finish a call we gave up on. */
const FIRST_ENQUIRY_MS = 30_000;

/** About nine hours of asking. */
export const ENQUIRIES_MAX = 24;

/** Each repeat of an unclear email may be one more in the patient's inbox. */
export const UNCLEAR_EMAILS_MAX = 3;

/** What becomes of a delivery after a call to its provider. */
export function afterAttempt(outcome: Outcome, context: AttemptContext): Change {
  switch (outcome.kind) {
    case "sent":
      return change("sent", { providerId: outcome.providerId });
    case "refused":
      return change(outcome.status, { reason: outcome.reason, providerCode: outcome.code });
    case "retry":
      return retryOrGiveUp(outcome, context);
    case "sender_unusable":
      // Its sender is paused: the lease and the relay hold it back until the pause is over
      return change("scheduled", { dueAt: context.now, providerCode: outcome.code });
    case "unclear":
      return change("unknown", {
        dueAt: later(context.now, FIRST_ENQUIRY_MS),
        providerCode: outcome.code,
      });
    case "not_called":
      return change("scheduled", { dueAt: later(context.now, outcome.afterMs ?? 0) });
  }
}

/**
 * What becomes of a delivery after its provider was asked about an unclear attempt.
 *
 * A second send comes only after the provider says that it knows nothing of the first, or, where none can be asked, if
 * the clinic rather has a message twice than not at all.
 */
export function afterEnquiry(
  enquiry: Enquiry,
  context: AttemptContext & { enquiries: number; policy: Clinic["unclearEmail"] },
): Change {
  const { failures, enquiries, now, random, policy } = context;
  switch (enquiry.kind) {
    case "found":
      return change("sent", { providerId: enquiry.providerId });
    case "not_found":
      if (failures + 1 >= CALLS_MAX) return unresolved("provider_error");
      return change("scheduled", { dueAt: now, failed: true });
    case "unavailable":
      if (enquiries + 1 >= ENQUIRIES_MAX) return unresolved("ambiguous_unresolved", enquiry.code);
      return change("unknown", {
        dueAt: later(now, backoffMs(enquiries, random)),
        enquired: true,
        providerCode: enquiry.code,
      });
    case "sender_unusable":
      return change("unknown", { dueAt: now, providerCode: enquiry.code });
    case "unanswerable":
      if (policy === "hold" || failures + 1 >= UNCLEAR_EMAILS_MAX) {
        return unresolved("ambiguous_unresolved");
      }
      return change("scheduled", { dueAt: now, failed: true });
  }
}

function retryOrGiveUp(
  outcome: Retry,
  { failures, now, expiresAt, random }: AttemptContext,
): Change {
  const fields = { failed: true, providerCode: outcome.code };
  if (expiresAt <= now) return change("expired", { reason: "too_late", ...fields });

  const delay = retryDelayMs({ ...outcome, failures, random });
  const dueAt = delay === null ? null : later(now, delay);
  if (dueAt !== null && dueAt < expiresAt) return change("scheduled", { dueAt, ...fields });
  // Failing now, for what kept it, leaves another channel the time that is left
  return change(givenUp(outcome.reason), { reason: outcome.reason, ...fields });
}

function givenUp(reason: Reason): FailureStatus {
  return reason === "unreachable" || reason === "mailbox_full"
    ? "temporary_failure"
    : "technical_failure";
}

function unresolved(reason: Reason, code: string | null = null): Change {
  return change("technical_failure", { reason, failed: true, enquired: true, providerCode: code });
}

function later(now: Date, ms: number): Date {
  return new Date(now.getTime() + ms);
}
