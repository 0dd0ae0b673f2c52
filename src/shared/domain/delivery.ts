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
