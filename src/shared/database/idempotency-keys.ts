import type { Db } from "./connect.ts";

/**
 * Notes that a client used this key for this request; false when it has used it for another.
 *
 * Waits for a transaction that uses the same key at this moment, so that its outcome counts.
 */
export async function claimIdempotencyKey(
  db: Db,
  { clientId, key, requestSha256 }: { clientId: string; key: string; requestSha256: string },
): Promise<boolean> {
  const [row] = await db<{ same: boolean }[]>`
    insert into delivery.idempotency_key as k (client_id, key, request_sha256)
    values (${clientId}, ${key}, decode(${requestSha256}, 'hex'))
    on conflict (client_id, key) do update set key = excluded.key
    returning k.request_sha256 = decode(${requestSha256}, 'hex') as same
  `;
  return row?.same === true;
}
