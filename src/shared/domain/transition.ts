import type { DeliveryStatus, Reason } from "./delivery.ts";

/** What a call to the provider, an enquiry or a receipt makes of a delivery. */
export type Change = {
  status: Extract<
    DeliveryStatus,
    | "scheduled"
    | "unknown"
    | "sent"
    | "delivered"
    | "temporary_failure"
    | "permanent_failure"
    | "technical_failure"
    | "suppressed"
    | "expired"
  >;
  reason: Reason | null;
  /** For `scheduled` and `unknown`: when to try or to ask again. */
  dueAt: Date | null;
  /** Adds one to the failures that count against the limit. */
  failed: boolean;
  /** Adds one to the enquiries made about the unclear attempt. */
  enquired: boolean;
  providerId: string | null;
  providerCode: string | null;
};

/** A change, and the attempt it is about. If another attempt has begun since, it is not recorded. */
export type Transition = Change & { id: string; attempt: number };

/** A change to `status`; what is not said is nothing. */
export function change(status: Change["status"], fields: Partial<Change> = {}): Change {
  return {
    status,
    reason: null,
    dueAt: null,
    failed: false,
    enquired: false,
    providerId: null,
    providerCode: null,
    ...fields,
  };
}
