import type postgres from "postgres";
import type { Channel } from "../domain/delivery.ts";
import type { SuppressionReason } from "../domain/outcome.ts";
import type { ReceiptTarget } from "../domain/receipt.ts";
import type { Change } from "../domain/transition.ts";
import type { Db } from "./connect.ts";
import { inTransaction } from "./transaction.ts";

export type ReceiptFacts = ReceiptTarget & { senderId: string; clinicId: string };

/** What the ledger says of the delivery that a receipt is about; null when there is no such delivery. */
export async function readReceiptFacts(
  db: Db,
  { deliveryId, providerId }: { deliveryId: string; providerId: string },
): Promise<ReceiptFacts | null> {
  const [facts] = await db<ReceiptFacts[]>`
    select d.status, d.reason, d.attempt, d.failures, d.expires_at, d.sender_id, n.clinic_id,
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
             wake_at = case when t.status = 'scheduled' then least(t."dueAt", d.expires_at) end,
             failures = d.failures + t.failed::int,
             enquiries = 0,
             hints = 0,
             lease_until = null,
             called_address = null,
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

/** Keeps the receipts of messages in test mode, and raises those that are `sent` to `delivered`, in one statement. */
export async function recordPretendReceipts(
  db: Db,
  receipts: readonly Pick<NewReceipt, "deliveryId" | "attempt" | "providerId">[],
): Promise<void> {
  await db`
    with received as materialized (
      select *
        from jsonb_to_recordset(${db.json(receipts as never)}) as r(
               "deliveryId" uuid, attempt integer, "providerId" text)
    ), kept as (
      insert into delivery.delivery_event (delivery_id, kind, status, attempt, provider_event)
      select "deliveryId", 'receipt', 'delivered', attempt, "providerId" || ':delivered' from received
      on conflict do nothing
    )
    update delivery.delivery d
       set status = 'delivered', updated_at = now()
      from received r
     where d.id = r."deliveryId" and d.attempt = r.attempt and d.status = 'sent'
  `;
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

/** An attempt whose fate is unclear, and the provider's messages that may be it. */
export type Doubt = { deliveryId: string; attempt: number; providerIds: readonly string[] };

/** Those of a provider's messages that are not known to be of another delivery, or of an earlier attempt of this one. */
export async function findUnclaimed(
  db: Db,
  { deliveryId, attempt, providerIds }: Doubt,
): Promise<string[]> {
  if (providerIds.length === 0) return [];
  const rows = await db<{ providerId: string }[]>`
    select provider_id
      from unnest(${providerIds as string[]}::text[]) with ordinality as candidate(provider_id, place)
     where not exists (
             select from delivery.delivery d
              where d.provider_id = candidate.provider_id and d.id <> ${deliveryId})
       and not exists (
             select from delivery.delivery_event e
              where e.delivery_id = ${deliveryId} and e.kind = 'receipt' and e.attempt < ${attempt}
                and starts_with(e.provider_event, candidate.provider_id || ':'))
     order by place
  `;
  return rows.map(({ providerId }) => providerId);
}

/**
 * Makes one of the provider's messages this delivery's, and returns it; null when none is left. One delivery at a time,
 * so that two with the same words to the same number are not taken for the same message.
 */
export async function claimMessage(sql: postgres.Sql, doubt: Doubt): Promise<string | null> {
  if (doubt.providerIds.length === 0) return null;
  return await inTransaction(sql, async (tx) => {
    await tx`select pg_advisory_xact_lock(hashtext('carillon claim message'))`;
    const [providerId] = await findUnclaimed(tx, doubt);
    if (providerId === undefined) return null;
    const { count } = await tx`
      update delivery.delivery
         set provider_id = ${providerId}, updated_at = now()
       where id = ${doubt.deliveryId} and attempt = ${doubt.attempt} and status = 'unknown'
    `;
    return count === 0 ? null : providerId;
  });
}
