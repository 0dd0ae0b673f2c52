import type { Channel } from "../domain/delivery.ts";
import type { SuppressionReason } from "../domain/outcome.ts";
import type { ReceiptTarget } from "../domain/receipt.ts";
import type { Change } from "../domain/transition.ts";
import type { Db } from "./connect.ts";

export type ReceiptFacts = ReceiptTarget & { senderId: string; clinicId: string };

/** What the ledger says of the delivery that a receipt is about; null when there is no such delivery. */
export async function readReceiptFacts(
  db: Db,
  { deliveryId, providerId }: { deliveryId: string; providerId: string },
): Promise<ReceiptFacts | null> {
  const [facts] = await db<ReceiptFacts[]>`
    select d.status, d.attempt, d.failures, d.expires_at, d.sender_id, n.clinic_id,
           exists (
             select from delivery.delivery_event e
              where e.delivery_id = d.id and e.kind = 'receipt' and e.status in ('failed', 'undelivered')
                and starts_with(e.provider_event, ${`${providerId}:`})) as message_failed
      from delivery.delivery d
      join delivery.notification n on n.id = d.notification_id
     where d.id = ${deliveryId}
  `;
  return facts ?? null;
}

export type NewReceipt = {
  deliveryId: string;
  attempt: number;
  providerId: string;
  /** The provider's word. */
  word: string;
  code: string | null;
  /** What it makes of the delivery; null: nothing. */
  change: Change | null;
  /** What the delivery was when that was decided. */
  from: Pick<ReceiptTarget, "status" | "attempt">;
};

/**
 * Keeps a receipt, once however often it comes, and changes the delivery, in one statement.
 *
 * False when the delivery is no longer what it was when the change was decided: decide again.
 */
export async function recordReceipt(db: Db, receipt: NewReceipt): Promise<boolean> {
  const { deliveryId, attempt, providerId, word, code, change, from } = receipt;
  const [{ changed } = { changed: 0 }] = await db<{ changed: number }[]>`
    with kept as (
      insert into delivery.delivery_event (delivery_id, kind, status, attempt, provider_code, provider_event)
      values (${deliveryId}, 'receipt', ${word}, ${attempt}, ${code},
              ${[providerId, word, code].filter((part) => part !== null).join(":")})
      on conflict do nothing
    ), changed as (
      update delivery.delivery d
         set status = t.status,
             reason = t.reason,
             due_at = coalesce(t."dueAt", d.due_at),
             wake_at = case when t.status = 'scheduled' then t."dueAt" end,
             failures = d.failures + t.failed::int,
             enquiries = 0,
             hints = 0,
             lease_until = null,
             provider_id = t."providerId",
             provider_code = t."providerCode",
             updated_at = now()
        from jsonb_to_record(${db.json(change as never)}) as t(
               status text, reason text, "dueAt" timestamptz, failed boolean, "providerId" text, "providerCode" text)
       where d.id = ${deliveryId} and d.status = ${from.status} and d.attempt = ${from.attempt}
         and ${change !== null}
      returning d.id
    )
    select count(*)::int as changed from changed
  `;
  return change === null || changed === 1;
}

/** Puts an address on a clinic's stop list. What is on it stays as it is. */
export async function suppressAddress(
  db: Db,
  { clinicId, channel, address, reason, source }: {
    clinicId: string;
    channel: Channel;
    address: string;
    reason: SuppressionReason;
    /** Who said so: the provider's code, for those who ask why. */
    source: string;
  },
): Promise<void> {
  await db`
    insert into delivery.suppression (clinic_id, channel, address, reason, source)
    values (${clinicId}, ${channel}, ${address.toLowerCase()}, ${reason}, ${source})
    on conflict do nothing
  `;
}

/** Those of `providerIds` that are known to be the message of another delivery than this one. */
export async function findTakenProviderIds(
  db: Db,
  { deliveryId, providerIds }: { deliveryId: string; providerIds: readonly string[] },
): Promise<ReadonlySet<string>> {
  if (providerIds.length === 0) return new Set();
  const rows = await db<{ providerId: string }[]>`
    select provider_id from delivery.delivery
     where provider_id = any(${providerIds as string[]}) and id <> ${deliveryId}
  `;
  return new Set(rows.map(({ providerId }) => providerId));
}
