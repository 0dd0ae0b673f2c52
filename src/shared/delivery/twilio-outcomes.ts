import type { Outcome, Refused, Retry, SenderUnusable } from "../domain/outcome.ts";
import type { Receipt } from "../domain/receipt.ts";

type Verdict = Omit<Retry, "code"> | Omit<Refused, "code"> | Omit<SenderUnusable, "code">;

const misconfigured: Verdict = { kind: "sender_unusable", reason: "config_error" };
const suspended: Verdict = { kind: "sender_unusable", reason: "account_suspended" };
const slowDown: Verdict = { kind: "retry", reason: "rate_limited" };
const tryAgain: Verdict = { kind: "retry", reason: "provider_error" };
const blocked: Verdict = {
  kind: "refused",
  status: "permanent_failure",
  reason: "blocked_by_carrier",
};
const wrongNumber: Verdict = {
  kind: "refused",
  status: "permanent_failure",
  reason: "invalid_address",
};
const landline: Verdict = {
  kind: "refused",
  status: "permanent_failure",
  reason: "landline",
  suppress: "landline",
};
const ourFault: Verdict = { kind: "refused", status: "technical_failure", reason: "config_error" };

/**
 * What Twilio's error codes mean for us (https://www.twilio.com/docs/api/errors), whether they come as the answer to a
 * call or in a receipt: behind a Messaging Service most come in receipts. Each row has its test.
 */
export const TWILIO_CODES: Readonly<Record<number, Verdict>> = {
  20003: misconfigured, // Authentication failed
  20005: suspended, // Account not active
  20429: slowDown, // "Never processed and always safe to retry"
  21211: { ...wrongNumber, suppress: "invalid_address" }, // Not a phone number
  21268: wrongNumber, // Premium number
  21408: ourFault, // The account may not send to this region
  21606: misconfigured, // From cannot send text messages
  21608: misconfigured, // Trial account
  21610: { kind: "refused", status: "suppressed", reason: "opted_out", suppress: "opted_out" }, // Replied STOP
  21611: slowDown, // More than ten hours of messages wait for this sender
  21612: { kind: "refused", status: "permanent_failure", reason: "unreachable" }, // No route from this sender
  21614: landline, // Not a mobile number
  21617: ourFault, // Longer than 1,600 characters
  21635: landline,
  30001: slowDown, // The sender's queue overflowed
  30002: suspended, // Everything fails until it is lifted, and nothing of it is lost
  30003: { kind: "retry", reason: "unreachable" }, // Phone off or out of reach
  30004: blocked,
  30005: { ...wrongNumber, suppress: "invalid_address" }, // Unknown handset
  30006: landline, // Landline, or a carrier that cannot be reached
  30007: blocked, // Filtered for its content: the same text again makes filtering worse
  30008: { kind: "retry", reason: "provider_error", callsMax: 2 }, // Unknown
  30009: ourFault,
  30010: ourFault, // Costs more than the maximum
  30024: ourFault, // The sender is not provisioned at this carrier
  30034: misconfigured, // Number without a 10DLC registration
  30036: { kind: "refused", status: "expired", reason: "too_late" }, // Its validity period is over
  30500: tryAgain,
  35114: ourFault, // SendAt, which we never use
  35115: ourFault,
  60005: tryAgain,
};

/** How a call ended without a message: the answer, or where the connection broke. */
export type TwilioFailure =
  | { kind: "answer"; status: number; code: number | null; afterMs?: number | undefined }
  /** `reached`: Twilio may have read the request. */
  | { kind: "broken"; reached: boolean; code: string };

/** A message may exist after an unclear call: Twilio's create is not idempotent, and a 5xx says nothing (error 20500). */
export function twilioOutcome(failure: TwilioFailure): Outcome {
  if (failure.kind === "broken") {
    const { reached, code } = failure;
    return reached ? { kind: "unclear", code } : { kind: "retry", reason: "provider_error", code };
  }
  const { status, code, afterMs } = failure;
  const named = { code: String(code ?? `http_${status}`) };
  if (status >= 500 || status < 300) return { kind: "unclear", ...named };

  const verdict = code === null ? undefined : TWILIO_CODES[code];
  if (verdict === undefined) return { ...byStatus(status), ...named };
  if (verdict.kind !== "retry" || afterMs === undefined) return { ...verdict, ...named };
  return { ...verdict, ...named, afterMs };
}

function byStatus(status: number): Verdict {
  if (status === 429) return slowDown;
  if (status === 408) return tryAgain;
  // No such account, not allowed, or not Twilio at all
  if ([401, 403, 404].includes(status) || status < 400) return misconfigured;
  return { kind: "refused", status: "technical_failure", reason: "provider_error" };
}

/** What a status callback says; null for a word that tells us nothing. `code` is its ErrorCode. */
export function twilioReceipt(word: string, code: number | null): Receipt | null {
  switch (word) {
    case "accepted":
    case "queued":
    case "sending":
    case "sent":
      return { kind: "taken" };
    case "delivered":
    case "read":
      return { kind: "delivered" };
    case "undelivered":
    case "failed": {
      const verdict = (code === null ? undefined : TWILIO_CODES[code]) ?? UNLISTED[word];
      return { kind: "failed", outcome: { ...verdict, code: String(code ?? word) } };
    }
    default:
      return null;
  }
}

const UNLISTED: Record<"undelivered" | "failed", Verdict> = {
  undelivered: { kind: "refused", status: "permanent_failure", reason: "unreachable" },
  failed: { kind: "refused", status: "technical_failure", reason: "provider_error" },
};
