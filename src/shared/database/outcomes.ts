import type { Transition } from "../domain/transition.ts";
import type { Db } from "./connect.ts";

/**
 * Records what became of a batch of attempts, in one statement. Returns the ids it recorded.
 *
 * Compare-and-set: a result counts only for its own attempt and only while that attempt is open. `sent` is recorded
 * even when the attempt was taken for lost in the meantime: that keeps it from being sent a second time, and when it
 * was withdrawn or given up since, it says what the patient got.
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
           wake_at = case t.status
             when 'scheduled' then least(t."dueAt", d.expires_at)
             when 'unknown' then t."dueAt"
           end,
           failures = d.failures + t.failed::int,
           enquiries = case when t.enquired then d.enquiries + 1 else 0 end,
           hints = 0,
           lease_until = null,
           called_address = case when t.status = 'unknown' then d.called_address end,
           provider_id = coalesce(t."providerId", d.provider_id),
           provider_code = t."providerCode",
           updated_at = now()
      from jsonb_to_recordset(${db.json(transitions as never)}) as t(
             id uuid, attempt integer, status text, reason text, "dueAt" timestamptz, failed boolean,
             enquired boolean, "providerId" text, "providerCode" text)
     where d.id = t.id and d.attempt = t.attempt
       and (d.status in ('sending', 'unknown')
            -- Unless a receipt has reported this very message as failed
            or (t.status in ('sent', 'delivered')
                and d.status in ('scheduled', 'queued', 'cancelled', 'expired', 'suppressed', 'technical_failure')
                and d.provider_id is distinct from t."providerId"))
    returning d.id
  `;
  return rows.map(({ id }) => id);
}
