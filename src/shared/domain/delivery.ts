export const CHANNELS = ["email", "sms"] as const;
export type Channel = (typeof CHANNELS)[number];

/** Where a delivery stands. The order is that of a delivery's life. */
export const DELIVERY_STATUSES = [
  "scheduled",
  "queued",
  "sending",
  "unknown",
  "sent",
  "delivered",
  "temporary_failure",
  "permanent_failure",
  "technical_failure",
  "suppressed",
  "cancelled",
  "expired",
] as const;
export type DeliveryStatus = (typeof DELIVERY_STATUSES)[number];

/**
 * What may become of a delivery, from each status, by one statement. Whatever is not here is a bug.
 *
 * A receipt raises anything to `delivered`, whatever else was thought: the patient has it. That a message was `sent` may
 * be learnt after it was taken for lost, and even after it was withdrawn or given up; and `sent` may fall, for the
 * provider reports a failure later.
 */
export const NEXT_STATUSES: Readonly<Record<DeliveryStatus, readonly DeliveryStatus[]>> = {
  scheduled: [
    "queued",
    "sending", // A hint that was late
    "sent",
    "delivered",
    "suppressed",
    "cancelled",
    "expired",
  ],
  queued: ["scheduled", "sending", "sent", "delivered", "suppressed", "cancelled", "expired"],
  sending: [
    "scheduled",
    "unknown",
    "sent",
    "delivered",
    "temporary_failure",
    "permanent_failure",
    "technical_failure",
    "suppressed",
    "expired",
  ],
  unknown: [
    "scheduled",
    "sent",
    "delivered",
    "temporary_failure",
    "permanent_failure",
    "technical_failure",
    "suppressed",
    "expired",
  ],
  sent: [
    "scheduled",
    "delivered",
    "temporary_failure",
    "permanent_failure",
    "technical_failure",
    "suppressed",
    "expired",
  ],
  delivered: [],
  temporary_failure: ["delivered"],
  permanent_failure: ["delivered"],
  technical_failure: ["sent", "delivered"],
  suppressed: ["sent", "delivered"],
  cancelled: ["sent", "delivered"],
  expired: ["sent", "delivered"],
};

/** Why a delivery ended other than sent or delivered. Closed: a failure without a reason is a bug. */
export const REASONS = [
  "opted_out",
  "no_consent",
  "no_contact",
  "invalid_address",
  "landline",
  "hard_bounce",
  "complaint",
  "blocked_by_carrier",
  "unreachable",
  "mailbox_full",
  "provider_error",
  "rate_limited",
  "account_suspended",
  "config_error",
  "ambiguous_unresolved",
  "appointment_cancelled",
  "appointment_rescheduled",
  "already_confirmed",
  "superseded",
  "quiet_hours",
  "frequency_cap",
  "too_late",
  "deceased",
  "inactive_patient",
  "operator",
] as const;
export type Reason = (typeof REASONS)[number];

const TERMINAL: ReadonlySet<DeliveryStatus> = new Set([
  "delivered",
  "temporary_failure",
  "permanent_failure",
  "technical_failure",
  "suppressed",
  "cancelled",
  "expired",
]);

/** `sent` is not terminal: a receipt may still raise it. */
export function isTerminal(status: DeliveryStatus): boolean {
  return TERMINAL.has(status);
}

export const NOTIFICATION_STATUSES = [
  "scheduled",
  "in_progress",
  "sent",
  "delivered",
  "failed",
  "suppressed",
  "cancelled",
  "expired",
] as const;
export type NotificationStatus = (typeof NOTIFICATION_STATUSES)[number];

/** `live` reaches patients, `team` only an allow-list, `test` a pretend provider. */
export type Mode = "live" | "team" | "test";

export type Strategy = "all" | "first-success";

/** What a template needs the appointment to be at the moment of sending. */
export type AppointmentNeed = "booked" | "cancelled" | "any";
