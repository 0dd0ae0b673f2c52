import { afterAttempt, type AttemptContext } from "./after-attempt.ts";
import type { DeliveryStatus, Reason } from "./delivery.ts";
import type { Refused, Retry, SenderUnusable } from "./outcome.ts";
import { type Change, change } from "./transition.ts";

/** What a provider reports of a message, after it took it. */
export type Receipt =
  /** The provider has it and works on it. */
  | { kind: "taken" }
  | { kind: "delivered" }
  | { kind: "failed"; outcome: Retry | Refused | SenderUnusable };

/** What the ledger says of the delivery that a receipt is about. */
export type ReceiptTarget = {
  status: DeliveryStatus;
  reason: Reason | null;
  attempt: number;
  failures: number;
  expiresAt: Date;
  /** This very message has been reported as failed. */
  messageFailed: boolean;
};

/** A receipt may only raise the rank. What was delivered was delivered, whatever else was thought or said. */
const RANKS: Record<DeliveryStatus, number> = {
  scheduled: 0,
  queued: 1,
  sending: 2,
  unknown: 3,
  // Withdrawn by us, who did not know of this message
  suppressed: 3,
  cancelled: 3,
  expired: 3,
  sent: 4,
  temporary_failure: 5,
  permanent_failure: 5,
  technical_failure: 5,
  delivered: 6,
};

/**
 * What a receipt makes of a delivery; null when it changes nothing.
 *
 * Receipts come late, twice, out of order, before our own record of the call, and about an attempt that was taken for
 * lost. So a message that was taken or delivered counts whichever attempt it was, for the patient has it; a failure
 * counts only for the latest attempt, and only while nothing later is known of it.
 */
export function afterReceipt(
  receipt: Receipt,
  { target, attempt, providerId, now, random }: {
    target: ReceiptTarget;
    attempt: number;
    providerId: string;
  } & Pick<AttemptContext, "now" | "random">,
): Change | null {
  switch (receipt.kind) {
    case "delivered":
      return raise(target, change("delivered", { providerId }));
    case "taken":
      return target.messageFailed ? null : raise(target, change("sent", { providerId }));
    case "failed": {
      const open = ["sending", "unknown", "sent"].includes(target.status);
      if (!open || attempt !== target.attempt) return null;
      return { ...afterAttempt(receipt.outcome, { ...target, now, random }), providerId };
    }
  }
}

function raise(target: ReceiptTarget, to: Change): Change | null {
  // Given up for want of this very answer
  const rank = target.reason === "ambiguous_unresolved" ? RANKS.unknown : RANKS[target.status];
  return RANKS[to.status] > rank ? to : null;
}
