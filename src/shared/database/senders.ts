import type { Db } from "./connect.ts";

export type Sender = {
  /** clinic:channel, or test:channel. */
  id: string;
  ratePerSecond: number | null;
};

/** Makes the ledger know the senders of the clinics' file. A sender that is no longer there keeps its row: deliveries point to it. */
export async function upsertSenders(db: Db, senders: readonly Sender[]): Promise<void> {
  await db`
    insert into delivery.sender as known (id, rate_per_second)
    select id, "ratePerSecond"
      from jsonb_to_recordset(${db.json(senders as never)}) as s(id text, "ratePerSecond" real)
     order by id -- Replicas that start together take the rows in the same order
    on conflict (id) do update set rate_per_second = excluded.rate_per_second
     where known.rate_per_second is distinct from excluded.rate_per_second
  `;
}
