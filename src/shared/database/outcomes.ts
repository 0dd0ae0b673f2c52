import type { DeliveryStatus, Reason } from "../domain/delivery.ts";
import type { Db } from "./connect.ts";

/** What becomes of a delivery after an attempt or an enquiry. */
export type Transition = {
  id: string;
  /** The attempt it is about. If another attempt has begun since, the transition is not recorded. */
  attempt: number;
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

/**
 * Records what became of a batch of attempts, in one statement. Returns the ids it recorded.
 *
 * Compare-and-set: a result counts only for its own attempt and only while that attempt is open. `sent` is recorded
 * even when the attempt was taken for lost in the meantime, for that keeps it from being sent a second time.
 * The batch is one JSON parameter: any number of rows, one plan.
 */
export async function settleDeliveries(
  db: Db,
  transitions: readonly Transition[],
): Promise<string[]> {
  if (transitions.length === 0) return [];
  const rows = await db<{ id: string }[]>`
    update delivery.delivery d
       set status = t.status,
           reason = t.reason,
           due_at = coalesce(t."dueAt", d.due_at),
           wake_at = case when t.status in ('scheduled', 'unknown') then t."dueAt" end,
           failures = d.failures + t.failed::int,
           enquiries = case when t.enquired then d.enquiries + 1 else 0 end,
           hints = 0,
           lease_until = null,
           provider_id = coalesce(t."providerId", d.provider_id),
           provider_code = t."providerCode",
           updated_at = now()
      from jsonb_to_recordset(${db.json(transitions as never)}) as t(
             id uuid, attempt integer, status text, reason text, "dueAt" timestamptz, failed boolean,
             enquired boolean, "providerId" text, "providerCode" text)
     where d.id = t.id and d.attempt = t.attempt
       and (d.status in ('sending', 'unknown')
            or (t.status in ('sent', 'delivered') and d.status in ('scheduled', 'queued', 'sent')))
       and not (t.status = 'sent' and d.status = 'sent')
    returning d.id
  `;
  return rows.map(({ id }) => id);
}
