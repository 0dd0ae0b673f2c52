import type { Clinic } from "../domain/clinic.ts";
import type { Enquiry, Outcome } from "../domain/outcome.ts";
import type { Rendered } from "../templates/templates.ts";
import type { Held } from "./leasing.ts";

/** One message, ready to go. It holds personal data: never log it. */
export type Call = {
  delivery: Held;
  address: string;
  clinic: Clinic;
  message: Rendered;
  /** The provider need not try after this long. */
  usefulMs: number;
};

/**
 * A way out. The only part that knows the vendor; its errors become outcomes here, and it never throws for them.
 *
 * A call must end within `CALL_TIMEOUT_MS`, with `unclear` if need be.
 */
export type Provider = {
  send: (call: Call) => Promise<Outcome>;
  /** Asks what became of an attempt whose end nobody recorded. */
  enquire: (call: Call) => Promise<Enquiry>;
};

/** Twilio may take 26 s over a call that succeeds: a shorter time-out makes clear calls unclear. */
export const CALL_TIMEOUT_MS = 30_000;
