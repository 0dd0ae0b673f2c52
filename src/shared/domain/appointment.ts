import type { Reason } from "./delivery.ts";

/** The statuses of HL7 FHIR R4's Appointment, all of them. */
export const APPOINTMENT_STATUSES = [
  "proposed",
  "pending",
  "booked",
  "arrived",
  "fulfilled",
  "cancelled",
  "noshow",
  "entered-in-error",
  "checked-in",
  "waitlist",
] as const;
export type AppointmentStatus = (typeof APPOINTMENT_STATUSES)[number];

/** Why an appointment in this status gets no reminder; null when it does. */
export function whyNotReminded(status: AppointmentStatus): Reason | null {
  switch (status) {
    // The normal state. That the patient has confirmed is said elsewhere, in participant.status
    case "booked":
      return null;
    // The patient is or was there
    case "arrived":
    case "checked-in":
    case "fulfilled":
      return "too_late";
    // It will not take place
    case "cancelled":
    case "noshow":
    case "entered-in-error":
      return "appointment_cancelled";
    // It is not agreed, or not any more
    case "proposed":
    case "pending":
    case "waitlist":
      return "appointment_cancelled";
  }
}
