import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { CLINIC_KEY, deploy, type Deployment, REPLICATED } from "../support/deployment.ts";
import { eventually } from "../support/eventually.ts";
import type { Runtime } from "../support/processes.ts";
import { skipWithoutBroker } from "../support/queue.ts";

const SUBMITTED = 400;
const BATCH = 20;
const PACE_MS = 300;
const TRIES_MAX = 20;
const RETRY_PAUSE_MS = 200;

for (const runtime of ["node", "deno"] satisfies Runtime[]) {
  describe(`six services on ${runtime}, three of each replicated one`, {
    skip: skipWithoutBroker(),
  }, () => {
    test("deliver the reminders of the patient API once, and none that was cancelled", async () => {
      const deployment = await deploy({ runtime });
      const { sql, sandbox, runEtl, runScheduler } = deployment;

      const etl = await runEtl();
      assert.equal(etl.code, 0, etl.output);
      const runs = await Promise.all([runScheduler(), runScheduler(), runScheduler()]);
      for (const { code, output } of runs) assert.equal(code, 0, output);

      await untilSettled(deployment);
      await assertOnce(deployment);
      assert.ok(sandbox.messages().some(({ channel }) => channel === "email"), "no email arrived");
      assert.ok(sandbox.messages().some(({ channel }) => channel === "sms"), "no text arrived");
      const [wrong] = await sql`
        select count(*)::int as count
          from delivery.delivery d
          join delivery.notification n on n.id = d.notification_id
          join clinic.appointment a on a.id = n.appointment_id
         where d.status in ('sent', 'delivered') and a.status <> 'booked'
      `;
      assert.equal(wrong?.count, 0, "messages about appointments that are not booked");

      const before = sandbox.messages().length;
      assert.equal((await runEtl()).code, 0);
      assert.equal((await runScheduler()).code, 0);
      await untilSettled(deployment);
      assert.equal(sandbox.messages().length, before, "a second pass sends nothing");
    });

    test("lose and double nothing when each is replaced under load", async () => {
      const deployment = await deploy({ runtime });
      const load = submitAll(deployment.dispatcherUrl);
      for (const name of REPLICATED) {
        assert.equal(await deployment.replace(name), 0, `${name}: exit code after SIGTERM`);
      }
      assert.equal(await load, SUBMITTED, "accepted notifications");

      await untilSettled(deployment);
      await assertOnce(deployment);
      const delivered = await deployment.sql`
        select count(*)::int as count from delivery.delivery where status in ('sent', 'delivered')
      `;
      assert.equal(
        delivered[0]?.count,
        SUBMITTED,
        "each notification has one delivery, and it left",
      );
      assert.doesNotMatch(
        deployment.output(),
        /@patients\.example\.org|\+4477009/,
        "addresses in logs",
      );
    });
  });
}

/** Submits in batches, a little apart, and repeats a batch that got no answer: the references make that harmless. */
async function submitAll(dispatcherUrl: string): Promise<number> {
  let accepted = 0;
  for (let first = 0; first < SUBMITTED; first += BATCH) {
    const notifications = Array.from({ length: BATCH }, (_, index) => notification(first + index));
    accepted += await submit(dispatcherUrl, notifications);
    await sleep(PACE_MS); // The load is spread over the replacements
  }
  return accepted;
}

async function submit(dispatcherUrl: string, notifications: unknown[]): Promise<number> {
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const response = await fetch(`${dispatcherUrl}/v1/notifications/batch`, {
      method: "POST",
      headers: { authorization: `Bearer ${CLINIC_KEY}`, "content-type": "application/json" },
      body: JSON.stringify({ notifications }),
    });
    if (response.status === 200) {
      const { results } = await response.json() as { results: { status: number }[] };
      return results.filter(({ status }) => status === 202).length;
    }
    await response.body?.cancel();
    assert.ok([502, 503].includes(response.status), `the Dispatcher answered ${response.status}`);
    await sleep(RETRY_PAUSE_MS);
  }
  throw new Error("no answer to a batch");
}

function notification(index: number) {
  const recipient = index % 2 === 0
    ? { email: `p${index}@patients.example.org` }
    // Clear of the sandbox's numbers that behave oddly
    : { phone: `+447700900${200 + Math.floor(index / 2)}` };
  return {
    reference: `load-${index}`,
    template: "appointment-confirmation",
    recipient: { name: "Sam", locale: "en-GB", timeZone: zoneWhereItIsNoon(), ...recipient },
    channels: [index % 2 === 0 ? "email" : "sms"],
    appointment: {
      id: `load-${index}`,
      version: "1",
      startsAt: new Date(Date.now() + 7 * 86_400_000).toISOString(),
      timeZone: "Europe/London",
    },
  };
}

/** Outside everybody's quiet hours, whenever the test runs. POSIX counts these offsets westwards. */
function zoneWhereItIsNoon(): string {
  const hours = new Date().getUTCHours() - 12;
  return `Etc/GMT${hours < 0 ? "" : "+"}${hours}`;
}

async function untilSettled({ sql }: Deployment): Promise<void> {
  await eventually("every delivery has come to its end", async () => {
    const [row] = await sql`
      select count(*)::int as open
        from delivery.delivery
       where status in ('queued', 'sending', 'unknown')
          or (status = 'scheduled' and due_at <= now() + interval '30 seconds') -- Put back for the sender's rate
          or (status = 'sent' and channel = 'sms')
    `;
    return row?.open === 0;
  }, { timeoutMs: 90_000 });
}

/** Each message that arrived is one that the ledger knows as sent, and the other way round. */
async function assertOnce({ sql, sandbox }: Deployment): Promise<void> {
  const arrived = sandbox.messages().map(({ providerId }) => providerId);
  assert.equal(new Set(arrived).size, arrived.length, "a message arrived twice");
  const sent = await sql<{ providerId: string }[]>`
    select provider_id from delivery.delivery where status in ('sent', 'delivered')
  `;
  const known = new Set(sent.map(({ providerId }) => providerId));
  assert.deepEqual(arrived.filter((id) => !known.has(id)), [], "arrived, and not known as sent");
  assert.equal(known.size, arrived.length, "known as sent, and arrived");
}
