import type postgres from "postgres";
import type { DeliveredMessage } from "../../src/sandbox/inbox.ts";
import type { Sandbox } from "../../src/sandbox/start-sandbox.ts";

/**
 * What became of a load, in the words of RabbitMQ's own Jepsen suite (total-queue checker).
 *
 * `requested`: references that a client has asked for. `accepted`: those of them that got a 202.
 */
export type Verdict = {
  requested: number;
  accepted: number;
  /** Messages that arrived at the providers. */
  arrived: number;
  /** Accepted, and neither arrived nor ended with a reason. */
  lost: string[];
  /** Deliveries of which more than one message arrived; each with how many. */
  duplicated: Record<string, number>;
  /** Messages that arrived and that nobody had asked for. */
  unexpected: string[];
  /** Asked for without a 202 (the answer was lost), and arrived all the same. */
  recovered: string[];
  /** Deliveries that have not come to an end. */
  open: number;
};

/**
 * Compares what clients know, what the ledger says and what arrived at the sandbox.
 *
 * A message is matched to its delivery by what the provider was told: the Message-ID of an email, which holds the
 * delivery's id, and the delivery's id in the StatusCallback of a text message.
 */
export async function check(
  { sql, arrived, requested, accepted }: {
    sql: postgres.Sql;
    /** The delivery's id of each message that arrived, as `arrivals()` gives them. */
    arrived: readonly string[];
    requested: ReadonlySet<string>;
    accepted: ReadonlySet<string>;
  },
): Promise<Verdict> {
  const rows = await sql<
    { id: string; reference: string; status: string; reason: string | null }[]
  >`
    select d.id, n.reference, d.status, d.reason
      from delivery.delivery d join delivery.notification n on n.id = d.notification_id
  `;
  const counts = new Map<string, number>();
  for (const id of arrived) counts.set(id, (counts.get(id) ?? 0) + 1);
  const known = new Map(rows.map((row) => [row.id, row]));
  const ofReference = Map.groupBy(rows, ({ reference }) => reference);
  const hasArrived = (reference: string) =>
    (ofReference.get(reference) ?? []).some(({ id }) => counts.has(id));
  const hasEnded = (reference: string) =>
    (ofReference.get(reference) ?? []).some(({ reason }) => reason !== null);
  const isOpen = (status: string) => ["scheduled", "queued", "sending", "unknown"].includes(status);
  return {
    requested: requested.size,
    accepted: accepted.size,
    arrived: arrived.length,
    lost: [...accepted].filter((reference) => !hasArrived(reference) && !hasEnded(reference)),
    duplicated: Object.fromEntries([...counts].filter(([, count]) => count > 1)),
    unexpected: [...counts.keys()].filter((id) => !requested.has(known.get(id)?.reference ?? "")),
    recovered: [...requested].filter((reference) =>
      !accepted.has(reference) && hasArrived(reference)
    ),
    open: rows.filter(({ status }) => isOpen(status)).length,
  };
}

/** The delivery that each message in the sandbox belongs to. */
export function arrivals(sandbox: Sandbox): string[] {
  return sandbox.messages().map(deliveryOf);
}

/** The delivery that a message belongs to. */
export function deliveryOf({ channel, providerId, statusCallback }: DeliveredMessage): string {
  if (channel === "email") return providerId.replace(/^<|@.*$/g, "");
  return new URL(statusCallback ?? "http://unknown").searchParams.get("delivery") ?? providerId;
}
