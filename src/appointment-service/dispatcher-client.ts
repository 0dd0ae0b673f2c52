import { z } from "zod";
import type { Channel, Strategy } from "../shared/domain/delivery.ts";
import { describeError, type LogFields } from "../shared/runtime/log.ts";

export type DispatcherOptions = {
  url: string;
  apiKey: string;
  fetch: typeof globalThis.fetch;
  timeoutMs?: number;
};

/** What the Dispatcher is asked to tell a patient: who, about what, and how. Contacts and texts are its own affair. */
export type ReminderRequest = {
  reference: string;
  clinic: string;
  template: string;
  recipient: { patientId: string };
  channels: Channel[];
  strategy: Strategy;
  appointment: { id: string; startsAt: string; timeZone: string };
  expiresAt: string;
  maxDataAge: string;
};

export type ItemResult =
  | { kind: "accepted"; notificationId: string | null }
  | { kind: "refused"; status: number; code: string }
  | { kind: "later" };

export type BatchResult =
  | { kind: "answered"; items: ItemResult[] }
  /** No answer, or one that says "later". The batch may have been accepted: the references make a repeat harmless. */
  | { kind: "away"; cause: LogFields }
  /** The Dispatcher understood and will not: something must be mended, such as the key. */
  | { kind: "refused"; status: number };

export type SubmitBatch = (requests: readonly ReminderRequest[]) => Promise<BatchResult>;

/** A batch is up to 500 rows and one commit: longer than this, and the Dispatcher is not well. */
const TIMEOUT_MS = 10_000;

// A problem's code is one of the Dispatcher's own words; anything else might quote the request
const Code = z.string().regex(/^[a-z0-9_-]{1,64}$/).catch("unknown");
const Item = z.object({
  status: z.int(),
  notification: z.object({ id: z.uuid() }).optional(),
  problem: z.object({ code: Code }).optional(),
});

export function createDispatcherClient(
  { url, apiKey, fetch, timeoutMs = TIMEOUT_MS }: DispatcherOptions,
): SubmitBatch {
  const endpoint = `${url.replace(/\/$/, "")}/v1/notifications/batch`;
  const headers = { authorization: `Bearer ${apiKey}`, "content-type": "application/json" };

  return async (requests) => {
    const Answer = z.object({ results: z.array(Item).length(requests.length) });
    try {
      const response = await fetch(endpoint, {
        method: "POST",
        headers,
        body: JSON.stringify({ notifications: requests }),
        redirect: "error",
        signal: AbortSignal.timeout(timeoutMs),
      });
      if (response.status === 200) {
        const { results } = Answer.parse(await response.json());
        return { kind: "answered", items: results.map(toItemResult) };
      }
      await response.body?.cancel();
      const { status } = response;
      return isTemporary(status)
        ? { kind: "away", cause: { status } }
        : { kind: "refused", status };
    } catch (error) {
      // fetch() hides the system's error in the cause
      const cause = error instanceof Error ? error.cause ?? error : error;
      return { kind: "away", cause: describeError(cause) };
    }
  };
}

function toItemResult({ status, notification, problem }: z.infer<typeof Item>): ItemResult {
  if (status === 202) return { kind: "accepted", notificationId: notification?.id ?? null };
  if (isTemporary(status)) return { kind: "later" };
  const code = problem?.code ?? "unknown";
  // It holds a notification of this reference, asked for before the row or the clinic's settings changed: the reminder is out
  if (code === "reference_reused") return { kind: "accepted", notificationId: null };
  return { kind: "refused", status, code };
}

function isTemporary(status: number): boolean {
  return status >= 500 || status === 408 || status === 429;
}
