import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { brokerUrl, skipWithoutBroker } from "../support/queue.ts";
import { eventually } from "../support/eventually.ts";
import { describeVerdict, startFaultWorld } from "../support/fault-world.ts";
import { createStoppingProxy } from "../support/stopping-proxy.ts";

const ACCEPT = "insert into delivery.notification (";
/** What a hint is written with. */
const HINT = "deliveryId";
/** With no human, from when there is a dispatcher again. */
const RECOVERY_MAX_MS = 30_000;

describe("a dispatcher that is lost", { skip: skipWithoutBroker() }, () => {
  test("before its answer, before its hint, and between a relay's claim and its hint: nothing lost, nothing twice", async (t) => {
    const world = await startFaultWorld(["sms-worker"]);
    const { deployment, submit } = world;
    const { sql } = deployment;
    const name = "notification-dispatcher";

    // After the commit, before the answer: the client knows nothing and asks again
    const database = await createStoppingProxy(deployment.databaseUrl);
    const first = await deployment.start(name, { DATABASE_URL: database.url });
    const committed = database.stopAfter(ACCEPT);
    const request = { reference: "asked-twice", phone: "+447700900111" };
    const unanswered = submit("sms", { ...request, url: first.url }).then(
      () => "answered",
      () => "lost",
    );
    await committed;
    const [row] = await eventually("it is stored", async () => {
      const rows = await sql<{ id: string }[]>`
        select id from delivery.notification where reference = ${request.reference}`;
      return rows.length === 1 && rows;
    });
    await deployment.kill(name, first);
    assert.equal(await unanswered, "lost");

    // After the answer, before the hint
    const broker = await createStoppingProxy(brokerUrl() ?? "");
    const second = await deployment.start(name, { AMQP_URL: broker.url });
    const hinting = broker.stopBefore(HINT);
    await submit("sms");
    await hinting;
    await deployment.kill(name, second);

    // Its relay has claimed what has become due, and not told the queue
    const other = await createStoppingProxy(brokerUrl() ?? "");
    const third = await deployment.start(name, { AMQP_URL: other.url });
    const relaying = other.stopBefore(HINT);
    await submit("sms", { sendAt: new Date(Date.now() + 1_500) });
    await relaying;
    await deployment.kill(name, third);

    await deployment.start(name);
    const startedAt = performance.now();
    const repeated = await submit("sms", request);
    assert.equal(repeated.notificationId, row?.id, "the same notification as the first time");
    await eventually("all three are sent", async () => {
      const [{ sent }] = await sql<[{ sent: number }]>`
        select count(*)::int as sent from delivery.delivery where status = 'sent'`;
      return sent === 3;
    }, { timeoutMs: RECOVERY_MAX_MS });
    const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);

    const verdict = await world.verdict();
    const what = describeVerdict("dispatcher lost at 3 steps", verdict);
    t.diagnostic(`${what}, recovery ${seconds} s`);
    assert.deepEqual(
      [verdict.lost, verdict.duplicated, verdict.unexpected, verdict.open, verdict.arrived],
      [[], {}, [], 0, 3],
    );
  });
});
