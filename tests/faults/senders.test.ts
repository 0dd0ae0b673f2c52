import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Channel } from "../../src/shared/domain/delivery.ts";
import { CLINIC_KEY } from "../support/deployment.ts";
import { eventually } from "../support/eventually.ts";
import { describeVerdict, type FaultWorld, startFaultWorld } from "../support/fault-world.ts";
import { skipWithoutBroker } from "../support/queue.ts";

const NEIGHBOURS = 20;
const PAUSES = 3;
/** Each pause's end may cost a few calls, however many deliveries wait. */
const PROBES_MAX = 2;
const AT_ONCE = 20;

type Trouble = {
  channel: Channel;
  queued: number;
  code: string;
  begin: (world: FaultWorld) => void;
  calls: (world: FaultWorld) => number;
};

const TROUBLES: Trouble[] = [
  {
    channel: "sms",
    queued: 300,
    code: "20003",
    begin: ({ twilio }) =>
      twilio.fail("POST", { status: 401, code: 20003 }, Infinity, { from: "+447700900123" }),
    calls: ({ twilio }) => twilio.calls("POST", { from: "+447700900123" }),
  },
  {
    channel: "email",
    queued: 100,
    code: "535 5.7.8",
    begin: ({ smtp }) =>
      smtp.fail("MAIL", { reply: "535 5.7.8 account disabled" }, Infinity, {
        from: "appointments@oak.example",
      }),
    calls: ({ smtp }) => smtp.visits().MAIL,
  },
];

describe("a sender whose account is refused", { skip: skipWithoutBroker() }, () => {
  test("keeps what it has, tries with one at a time, and sends all of it once when mended", async (t) => {
    const world = await startFaultWorld([
      "notification-dispatcher",
      "sms-worker",
      "sms-worker",
      "email-worker",
    ]);
    for (const trouble of TROUBLES) await runTrouble(world, trouble, (line) => t.diagnostic(line));
  });
});

async function runTrouble(
  world: FaultWorld,
  { channel, queued, code, begin, calls }: Trouble,
  say: (line: string) => void,
): Promise<void> {
  const { deployment, submit } = world;
  const { sql } = deployment;
  const senderId = `oak:${channel}`;
  const readSender = async () => {
    const [sender] = await sql<{ pauses: number; paused: boolean; pauseReason: string | null }[]>`
      select pauses, pause_reason, in_trouble and paused_until > now() as paused
        from delivery.sender where id = ${senderId}`;
    return sender ?? { pauses: 0, paused: false, pauseReason: null };
  };
  const countOf = async (ids: readonly string[], statuses: readonly string[]) => {
    const [row] = await sql<[{ count: number }]>`
      select count(*)::int as count from delivery.delivery
       where id = any(${ids as string[]}) and status = any(${statuses as string[]})`;
    return row.count;
  };

  begin(world);
  const kept: string[] = [];
  while (kept.length < queued) {
    const batch = await Promise.all(Array.from({ length: AT_ONCE }, () => submit(channel)));
    kept.push(...batch.map(({ deliveryId }) => deliveryId));
  }
  await eventually("the sender is paused", async () => (await readSender()).paused);

  // Others go on: another clinic's sender of the channel, and this clinic's other channel
  const other = channel === "sms" ? "email" : "sms";
  const neighbours = await Promise.all([
    ...Array.from({ length: NEIGHBOURS }, () => submit(channel, { clinic: "ruiz" })),
    ...Array.from({ length: NEIGHBOURS }, () => submit(other)),
  ]);
  const neighbourIds = neighbours.map(({ deliveryId }) => deliveryId);
  await eventually(
    "the neighbours are delivered",
    async () => await countOf(neighbourIds, ["sent", "delivered"]) === neighbourIds.length,
  );
  await eventually(
    "those under way have come back",
    async () => await countOf(kept, ["scheduled", "queued"]) === kept.length,
  );

  // At each pause's end one tries for all
  const probes: number[] = [];
  for (let pause = 0; pause < PAUSES; pause += 1) {
    const before = { calls: calls(world), pauses: (await readSender()).pauses };
    await world.endDelays();
    await eventually("one has tried, and the sender is paused again", async () => {
      const { pauses, paused } = await readSender();
      return pauses > before.pauses && paused;
    });
    await eventually(
      "none is under way",
      async () => await countOf(kept, ["scheduled", "queued"]) === kept.length,
    );
    probes.push(calls(world) - before.calls);
  }
  assert.ok(
    probes.every((count) => count >= 1 && count <= PROBES_MAX),
    `calls per pause: ${probes}`,
  );

  // It is shown
  const { pauseReason } = await readSender();
  assert.equal(pauseReason, "config_error");
  const [{ failures }] = await sql<[{ failures: number }]>`
    select sum(failures)::int as failures from delivery.delivery where id = any(${kept})`;
  assert.equal(failures, 0, "no attempt is burnt");
  const [probed] = await sql<{ notificationId: string }[]>`
    select notification_id from delivery.delivery where id = any(${kept}) and provider_code = ${code} limit 1`;
  const state = await fetch(
    `${deployment.dispatcherUrl}/v1/notifications/${probed?.notificationId}`,
    {
      headers: { authorization: `Bearer ${CLINIC_KEY}` },
    },
  ).then((response) => response.json()) as {
    deliveries: { providerCode: string; senderTrouble: string }[];
    timeline: { status: string; providerCode?: string }[];
  };
  assert.deepEqual(
    [state.deliveries[0]?.providerCode, state.deliveries[0]?.senderTrouble],
    [code, "config_error"],
  );
  assert.ok(state.timeline.some((entry) => entry.providerCode === code), JSON.stringify(state));
  const [dispatcher] = deployment.replicas("notification-dispatcher");
  await eventually("the metric shows it", async () => {
    const metrics = await fetch(`${dispatcher?.url}/metrics`).then((response) => response.text());
    return /^\w*senders_in_trouble(\{.*\})? 1\b/m.test(metrics);
  });

  world.twilio.heal();
  world.smtp.heal();
  const before = calls(world);
  await world.endDelays();
  await eventually(
    "all are sent",
    async () => await countOf(kept, ["sent", "delivered"]) === kept.length,
    { timeoutMs: 60_000 },
  );
  assert.equal(calls(world) - before, kept.length, "calls since it was mended: one each");
  const verdict = await world.verdict();
  say(
    `${describeVerdict(`${senderId} refused with ${code}, ${kept.length} kept`, verdict)}, ` +
      `calls at each pause's end ${probes.join(", ")}`,
  );
  assert.deepEqual([verdict.lost, verdict.duplicated, verdict.unexpected], [[], {}, []]);
}
