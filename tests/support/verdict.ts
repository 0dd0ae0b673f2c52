import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { check, type Verdict } from "./checker.ts";
import type { Deployment } from "./deployment.ts";
import { eventually } from "./eventually.ts";

export type Asked = { requested: ReadonlySet<string>; accepted: ReadonlySet<string> };

/** Waits until every delivery that is due has come to its end. */
export async function untilDrained(
  { sql }: Deployment,
  { timeoutMs }: { timeoutMs: number },
): Promise<void> {
  await eventually("every delivery has come to its end", async () => {
    const open = await sql`
      select from delivery.delivery
       where status in ('scheduled', 'queued', 'sending', 'unknown') and due_at < 'infinity' limit 1`;
    return open.length === 0;
  }, { timeoutMs });
}

/** The delivery of each message that the pretended provider has had: the ledger has an event for each. */
async function listPretended(sql: Deployment["sql"]): Promise<string[]> {
  const sent = await sql<{ id: string }[]>`
    select d.id
      from delivery.delivery_event e
      join delivery.delivery d on d.id = e.delivery_id
      join delivery.notification n on n.id = d.notification_id
     where n.mode = 'test' and e.kind = 'status' and e.status = 'sent'
  `;
  return sent.map(({ id }) => id);
}

/** What came of all that was asked for, whether it was really sent or only pretended. */
export async function judgeAll(
  { sql, arrived }: Deployment,
  asked: Asked,
): Promise<Verdict & { pretended: number }> {
  const pretended = await listPretended(sql);
  const verdict = await check({ sql, arrived: [...arrived(), ...pretended], ...asked });
  return { ...verdict, pretended: pretended.length };
}

/** On one line, with what else was measured. */
export function describeVerdict(
  verdict: Verdict & { pretended: number },
  measured: Record<string, number | string>,
): string {
  const { requested, accepted, arrived, pretended, lost, duplicated, unexpected } = verdict;
  const counts = {
    ...{ requested, accepted, arrived, "of which pretended": pretended, lost: lost.length },
    duplicated: Object.keys(duplicated).length,
    unexpected: unexpected.length,
    recovered: verdict.recovered.length,
    ...measured,
  };
  return Object.entries(counts).map(([name, value]) => `${name} ${value}`).join(", ");
}

/** Prints what came of the whole load, with what else was measured, and asserts that none was lost and none doubled. */
export async function assertNoneLostNoneDoubled(
  t: TestContext,
  deployment: Deployment,
  { asked, measured }: { asked: Asked; measured: Record<string, number | string> },
): Promise<void> {
  const verdict = await judgeAll(deployment, asked);
  t.diagnostic(describeVerdict(verdict, measured));
  const { lost, duplicated, unexpected, open } = verdict;
  assert.deepEqual({ lost, duplicated, unexpected, open }, {
    ...{ lost: [], duplicated: {}, unexpected: [], open: 0 },
  });
}
