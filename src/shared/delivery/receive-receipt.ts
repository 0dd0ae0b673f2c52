import type { Db } from "../database/connect.ts";
import { readReceiptFacts, type ReceiptFacts, recordReceipt } from "../database/receipts.ts";
import { afterReceipt, type Receipt } from "../domain/receipt.ts";

/** The delivery may change between reading it and recording; that often in a row it does not. */
const TRIES_MAX = 5;

export type ReceivedReceipt = {
  deliveryId: string;
  attempt: number;
  /** The provider's id of the message. */
  providerId: string;
  /** The provider's word, kept as it came. */
  word: string;
  code: string | null;
  /** What the word means; null when it means nothing to us. */
  receipt: Receipt | null;
  now: Date;
  /** From 0 to 1. */
  random: number;
};

/** Keeps a receipt and lets it change the delivery. Null when there is no such delivery. */
export async function receiveReceipt(
  sql: Db,
  received: ReceivedReceipt,
): Promise<ReceiptFacts | null> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const facts = await readReceiptFacts(sql, received);
    if (facts === null) return null;
    const change = received.receipt === null
      ? null
      : afterReceipt(received.receipt, { ...received, target: facts });
    if (await recordReceipt(sql, { ...received, change, from: facts })) return facts;
  }
  throw new Error(`Cannot record a receipt: the delivery changed ${TRIES_MAX} times meanwhile`);
}
