import type { Reason } from "./delivery.ts";

const MINUTE_MS = 60_000;

const FIRST_MS = 30_000;
const LONGEST_MS = 30 * MINUTE_MS;
const PROVIDER_PAUSE_MAX_MS = 60 * MINUTE_MS;
const JITTER = 0.2;

/** About five hours of trying: longer than most outages. What is left then is for a person. */
export const CALLS_MAX = 16;

/** A phone that is off and a full mailbox do not mend in seconds. */
const PATIENT_DELAYS_MS: Partial<Record<Reason, readonly number[]>> = {
  unreachable: [30 * MINUTE_MS, 120 * MINUTE_MS],
  mailbox_full: [30 * MINUTE_MS, 120 * MINUTE_MS],
};

/**
 * How long to wait before the next call, in milliseconds; null when there should be none.
 *
 * `failures` counts those before the one at hand. `random` is from 0 to 1: deliveries that failed together must not
 * come back together.
 */
export function retryDelayMs(
  { reason, failures, afterMs = 0, callsMax = CALLS_MAX, random }: {
    reason: Reason;
    failures: number;
    afterMs?: number | undefined;
    callsMax?: number | undefined;
    random: number;
  },
): number | null {
  const patient = PATIENT_DELAYS_MS[reason];
  if (failures + 1 >= (patient === undefined ? callsMax : patient.length + 1)) return null;

  const delay = patient?.[failures] ?? backoffMs(failures, random);
  return Math.max(delay, Math.min(afterMs, PROVIDER_PAUSE_MAX_MS));
}

/** 30 s doubling to 30 min, give or take a fifth. */
export function backoffMs(times: number, random: number): number {
  const delay = Math.min(FIRST_MS * 2 ** times, LONGEST_MS);
  return Math.round(delay * (1 + JITTER * (2 * random - 1)));
}
