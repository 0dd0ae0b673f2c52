import assert from "node:assert/strict";
import { describe, test } from "node:test";
import webhooks from "twilio/lib/webhooks/webhooks.js";
import { TWILIO } from "../support/deployment.ts";
import { eventually } from "../support/eventually.ts";
import { describeVerdict, startFaultWorld } from "../support/fault-world.ts";
import { readDelivery, readHistory } from "../support/ledger.ts";
import { skipWithoutBroker } from "../support/queue.ts";
import { createTcpProxy } from "../support/tcp-proxy.ts";

const UNKNOWN = "019a0000-0000-7000-8000-000000000000";

type Receipt = {
  sid: string;
  word: string;
  code?: number;
  /** The dispatcher it is posted to; the signature is always of the public address. */
  to?: string;
  authToken?: string;
  signature?: string;
};

describe("receipts", { skip: skipWithoutBroker() }, () => {
  test("early, late, doubled, out of order, forged, of nobody, and while the database is away", async (t) => {
    const world = await startFaultWorld(["notification-dispatcher", "sms-worker"]);
    const { deployment, twilio, submit } = world;
    const { sql, dispatcherUrl } = deployment;

    /** Posts to a message's own StatusCallback, as Twilio does. */
    async function post(deliveryId: string, receipt: Receipt): Promise<Response> {
      const { sid, word, code, to = dispatcherUrl, authToken = TWILIO.authToken } = receipt;
      const path = `/webhooks/twilio/status?delivery=${deliveryId}&attempt=1`;
      const form = {
        MessageSid: sid,
        MessageStatus: word,
        To: "+447700900000",
        ...(code === undefined ? {} : { ErrorCode: `${code}` }),
      };
      const signed = webhooks.getExpectedTwilioSignature(authToken, dispatcherUrl + path, form);
      const response = await fetch(to + path, {
        method: "POST",
        headers: { "x-twilio-signature": receipt.signature ?? signed },
        body: new URLSearchParams(form),
      });
      await response.body?.cancel();
      return response;
    }
    const sidOf = (deliveryId: string) =>
      eventually(
        "Twilio has the message",
        () =>
          twilio.messages.find(({ parameters }) => parameters.StatusCallback?.includes(deliveryId))
            ?.sid,
      );
    const untilStatus = (deliveryId: string, status: string) =>
      eventually(
        `it is ${status}`,
        async () => (await readDelivery(sql, deliveryId)).status === status,
      );

    // Before our own record: the worker still waits for the answer to its call
    const answer = Promise.withResolvers<void>();
    twilio.fail("POST", { keptUntil: answer.promise });
    const early = (await submit("sms")).deliveryId;
    const earlySid = await sidOf(early);
    assert.equal((await post(early, { sid: earlySid, word: "delivered" })).status, 204);
    assert.equal((await readDelivery(sql, early)).status, "delivered");
    answer.resolve();

    // Doubled and out of order, at once
    const mixed = (await submit("sms")).deliveryId;
    const sid = await sidOf(mixed);
    await untilStatus(mixed, "sent");
    const words = ["sent", "delivered", "delivered", "queued", "delivered", "sent"];
    const answers = await Promise.all(words.map((word) => post(mixed, { sid, word })));
    assert.deepEqual(answers.map(({ status }) => status), words.map(() => 204));
    await post(mixed, { sid, word: "undelivered", code: 30005 });
    assert.equal((await readDelivery(sql, mixed)).status, "delivered");
    const history = await readHistory(sql, mixed);
    assert.deepEqual(history.sort(), [
      "delivered", // Our status
      "delivered", // The receipt
      "queued",
      "sending",
      "sent", // Our status
      "sent", // The receipt
      "undelivered",
    ]);

    // Forged: nothing is recorded, and nothing is told of what exists
    const target = (await submit("sms")).deliveryId;
    const targetSid = await sidOf(target);
    await untilStatus(target, "sent");
    const facts =
      async () => [await readHistory(sql, target), await sql`select * from delivery.suppression`];
    const before = await facts();
    for (
      const forged of [{ authToken: "guessed" }, { signature: "" }, { signature: "A".repeat(28) }]
    ) {
      const receipt = { sid: targetSid, word: "failed", code: 30005, ...forged };
      assert.equal((await post(target, receipt)).status, 403);
      assert.equal((await post(UNKNOWN, receipt)).status, 403);
    }
    assert.deepEqual(await facts(), before);

    // Of nobody we know: Twilio need not come again
    assert.equal((await post(UNKNOWN, { sid: targetSid, word: "delivered" })).status, 204);

    // While the database is away: Twilio is asked to come again, and then it counts
    const proxy = await createTcpProxy(t, deployment.databaseUrl);
    const cutOff = await deployment.start("notification-dispatcher", { DATABASE_URL: proxy.url });
    proxy.refuse(true);
    proxy.cut();
    const receipt = { sid: targetSid, word: "delivered", to: cutOff.url };
    const refused = await post(target, receipt);
    assert.equal(refused.status, 503);
    assert.ok(Number(refused.headers.get("retry-after")) > 0);
    proxy.refuse(false);
    await eventually(
      "the repeat is taken",
      async () => (await post(target, receipt)).status === 204,
    );
    assert.equal((await readDelivery(sql, target)).status, "delivered");

    await eventually("the worker has recorded what it can", async () => {
      const rows = await Promise.all([early, mixed, target].map((id) => readDelivery(sql, id)));
      return rows.every(({ status }) => status === "delivered");
    });
    const verdict = await world.verdict();
    t.diagnostic(describeVerdict("receipts of 7 kinds", verdict));
    assert.deepEqual([verdict.lost, verdict.duplicated, verdict.unexpected], [[], {}, []]);
  });
});
