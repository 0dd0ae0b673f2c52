const BACKOFF_MS = 500;
const BACKOFF_MAX_MS = 30_000;
const RETRY_AFTER_MAX_MS = 120_000;

/**
 * How long to wait before the next try. `attempt` counts from 1, `random` lies in [0, 1).
 *
 * The server's Retry-After (RFC 9110 §10.2.3: seconds or an HTTP date) lengthens the wait, never beyond two minutes.
 */
export function requestDelayMs(
  { attempt, retryAfter, now, random }: {
    attempt: number;
    retryAfter: string | null;
    /** The server's own time if it told it: its dates are read by its clock. */
    now: Date;
    random: number;
  },
): number {
  const backoffMs = Math.min(BACKOFF_MS * 2 ** (attempt - 1), BACKOFF_MAX_MS) * (0.5 + random / 2);
  return Math.min(Math.max(backoffMs, retryAfterMs(retryAfter, now)), RETRY_AFTER_MAX_MS);
}

function retryAfterMs(text: string | null, now: Date): number {
  if (text === null) return 0;
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? 0 : date - now.getTime();
}
