import type { DeliveryStatus, Reason } from "./delivery.ts";

/**
 * What one call to a provider came to, in our words.
 *
 * `unclear` is not a failure: the call left and no answer came back, so the message may be on its way.
 * `code` is the provider's own code, never its text: texts carry addresses.
 */
export type Outcome =
  | { kind: "sent"; providerId: string }
  | Retry
  | Refused
  | SenderUnusable
  | { kind: "unclear"; code: string }
  /** We did not get as far as calling, through no fault of the message. `afterMs`: better not at once. */
  | { kind: "not_called"; afterMs?: number };

/** The provider certainly did not take it, and may later. */
export type Retry = {
  kind: "retry";
  reason: Reason;
  code: string;
  /** The provider asked for this pause. */
  afterMs?: number;
  /** Calls in all, where fewer make sense than usual. */
  callsMax?: number;
};

export type Refused = {
  kind: "refused";
  status: FailureStatus;
  reason: Reason;
  code: string;
  /** Nothing more is sent to this address, for this reason. */
  suppress?: SuppressionReason;
};

/** Nothing is wrong with the message: no message of this sender can leave until someone mends the account. */
export type SenderUnusable = {
  kind: "sender_unusable";
  reason: "config_error" | "account_suspended";
  code: string;
};

export type FailureStatus = Extract<
  DeliveryStatus,
  "temporary_failure" | "permanent_failure" | "technical_failure" | "suppressed" | "expired"
>;

export type SuppressionReason = Extract<
  Reason,
  "opted_out" | "hard_bounce" | "complaint" | "invalid_address" | "landline" | "operator"
>;

/** What the provider answered when asked about an unclear attempt. */
export type Enquiry =
  | { kind: "found"; providerId: string }
  | { kind: "not_found" }
  /** The provider cannot be asked now, or its answer leaves it open. */
  | { kind: "unavailable"; code: string }
  | SenderUnusable
  /** The provider has no way to be asked: SMTP. */
  | { kind: "unanswerable" };
