import type { DeliveryStatus, Reason } from "./delivery.ts";

/**
 * What one call to a provider came to, in our words.
 *
 * `unclear` is not a failure: the call left and no answer came back, so the message may be on its way.
 * `code` is the provider's own code, never its text: texts carry addresses.
 */
export type Outcome =
  | { kind: "sent"; providerId: string }
  /** The provider certainly did not take it, and may later. */
  | { kind: "retry"; reason: Reason; code: string; afterMs?: number }
  | { kind: "refused"; status: FailureStatus; reason: Reason; code: string }
  /** Nothing is wrong with the message: no message of this sender can leave until someone mends the account. */
  | { kind: "sender_unusable"; reason: "config_error" | "account_suspended"; code: string }
  | { kind: "unclear"; code: string };

export type FailureStatus = Extract<
  DeliveryStatus,
  "temporary_failure" | "permanent_failure" | "technical_failure" | "suppressed" | "expired"
>;

/** What the provider answered when asked about an unclear attempt. */
export type Enquiry =
  | { kind: "found"; providerId: string }
  | { kind: "not_found" }
  /** The provider cannot be asked now. */
  | { kind: "unavailable"; code: string }
  /** The provider has no way to be asked: SMTP. */
  | { kind: "unanswerable" };
