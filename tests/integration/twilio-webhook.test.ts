import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import webhooks from "twilio/lib/webhooks/webhooks.js";
import { createTwilioWebhook } from "../../src/notification-dispatcher/twilio-webhook.ts";
import { connectDatabase } from "../../src/shared/database/connect.ts";
import { settleDeliveries } from "../../src/shared/database/outcomes.ts";
import { change } from "../../src/shared/domain/transition.ts";
import { createTestDatabase } from "../support/database.ts";
import { insertDelivery, readDelivery, readHistory, uniqueId } from "../support/ledger.ts";
import { createTestLog } from "../support/workers.ts";

const PUBLIC_URL = "https://notify.example.test";
const AUTH_TOKEN = "secret";
const MINUTE_MS = 60_000;

const { sql } = await createTestDatabase();
const { log, lines } = createTestLog();
const webhook = createTwilioWebhook({ sql, publicUrl: PUBLIC_URL, authToken: AUTH_TOKEN, log });

const newSid = () => `SM${randomBytes(16).toString("hex")}`;

type Callback = {
  delivery: string;
  attempt?: number | string;
  sid?: string;
  word: string;
  code?: number;
  signature?: string;
  via?: typeof webhook;
};

/** Posts as Twilio does, to a host that is not the public one: the Ingress is in between. */
async function post(
  { delivery, attempt = 1, sid = newSid(), word, code, signature, via = webhook }: Callback,
): Promise<Response> {
  const path = `/webhooks/twilio/status?delivery=${delivery}&attempt=${attempt}`;
  const form = {
    AccountSid: "AC1",
    From: "+447700900000",
    MessageSid: sid,
    MessageStatus: word,
    SomethingNew: "1",
    To: "+34600111222",
    ...(code === undefined ? {} : { ErrorCode: String(code) }),
  };
  const signed = webhooks.getExpectedTwilioSignature(AUTH_TOKEN, PUBLIC_URL + path, form);
  return await via.request(`http://10.0.0.7:8080${path}`, {
    method: "POST",
    headers: { "x-twilio-signature": signature ?? signed },
    body: new URLSearchParams(form),
  });
}

const insertSent = (fields: Parameters<typeof insertDelivery>[1] = {}) =>
  insertDelivery(sql, { status: "sent", attempt: 1, ...fields });

describe("POST /webhooks/twilio/status", () => {
  test("records that a message was delivered", async () => {
    const sid = newSid();
    const delivery = await insertSent({ providerId: sid });
    assert.equal((await post({ delivery, sid, word: "delivered" })).status, 204);
    assert.equal((await readDelivery(sql, delivery)).status, "delivered");
  });

  test("refuses what Twilio has not signed", async () => {
    const delivery = await insertSent();
    for (const signature of ["", "AAAA", "A".repeat(28)]) {
      assert.equal((await post({ delivery, word: "delivered", signature })).status, 403);
    }
    assert.equal((await readDelivery(sql, delivery)).status, "sent");
  });

  test("refuses a body that is too large", async () => {
    const response = await webhook.request("/webhooks/twilio/status", {
      method: "POST",
      body: "A".repeat(20_000),
    });
    assert.equal(response.status, 413);
  });

  test("keeps a receipt once, however often it comes", async () => {
    const sid = newSid();
    const delivery = await insertSent({ providerId: sid });
    for (let i = 0; i < 3; i++) {
      assert.equal((await post({ delivery, sid, word: "delivered" })).status, 204);
    }
    const history = await readHistory(sql, delivery);
    assert.deepEqual(history, ["delivered", "delivered"]); // The receipt, and our status
  });

  test("is not moved back by receipts out of order", async () => {
    const sid = newSid();
    const delivery = await insertSent({ providerId: sid });
    for (const word of ["delivered", "sent", "queued", "undelivered"]) {
      await post({ delivery, sid, word, ...(word === "undelivered" ? { code: 30005 } : {}) });
    }
    assert.equal((await readDelivery(sql, delivery)).status, "delivered");
  });

  test("counts a delivery after a failure", async () => {
    const sid = newSid();
    const delivery = await insertSent({ providerId: sid });
    await post({ delivery, sid, word: "undelivered", code: 30006 });
    assert.equal((await readDelivery(sql, delivery)).reason, "landline");
    await post({ delivery, sid, word: "delivered" });
    assert.equal((await readDelivery(sql, delivery)).status, "delivered");
  });

  for (const status of ["sending", "unknown"] as const) {
    test(`wins when it comes before our own record, while ${status}`, async () => {
      const sid = newSid();
      const delivery = await insertSent({ status });
      await post({ delivery, sid, word: "delivered" });
      const sent = change("sent", { providerId: sid });
      assert.deepEqual(await settleDeliveries(sql, [{ id: delivery, attempt: 1, ...sent }]), []);
      const { status: after, providerId } = await readDelivery(sql, delivery);
      assert.deepEqual([after, providerId], ["delivered", sid]);
    });
  }

  test("ends the doubt about an unclear attempt", async () => {
    const sid = newSid();
    const delivery = await insertSent({ status: "unknown" });
    await post({ delivery, sid, word: "sent" });
    const { status, providerId } = await readDelivery(sql, delivery);
    assert.deepEqual([status, providerId], ["sent", sid]);
  });

  test("plans another try for a phone that was off, and not one more for each repeat", async () => {
    const sid = newSid();
    const delivery = await insertSent({ providerId: sid, notification: { expiresAt: inHours(5) } });
    for (const word of ["undelivered", "undelivered", "failed", "sent"]) {
      await post({ delivery, sid, word, ...(word === "sent" ? {} : { code: 30003 }) });
    }
    const { status, failures, dueAt, attempt } = await readDelivery(sql, delivery);
    assert.deepEqual([status, failures, attempt], ["scheduled", 1, 1]);
    assert.ok((dueAt?.getTime() ?? 0) > Date.now() + 20 * MINUTE_MS);
  });

  test("is not undone by our own record that comes late", async () => {
    const sid = newSid();
    const delivery = await insertSent({
      status: "sending",
      notification: { expiresAt: inHours(5) },
    });
    await post({ delivery, sid, word: "undelivered", code: 30003 });
    const sent = change("sent", { providerId: sid });
    await settleDeliveries(sql, [{ id: delivery, attempt: 1, ...sent }]);
    assert.equal((await readDelivery(sql, delivery)).status, "scheduled");
  });

  test("does not fail a second attempt with the first one's failure", async () => {
    const delivery = await insertSent({ attempt: 2, providerId: newSid() });
    await post({ delivery, attempt: 1, word: "undelivered", code: 30005 });
    assert.equal((await readDelivery(sql, delivery)).status, "sent");
  });

  test("puts a number that does not exist on the clinic's stop list", async () => {
    const clinicId = uniqueId("clinic");
    const sid = newSid();
    const delivery = await insertSent({ providerId: sid, notification: { clinicId } });
    await post({ delivery, sid, word: "undelivered", code: 30005 });
    const [row] = await sql`
      select channel, address, reason from delivery.suppression where clinic_id = ${clinicId}`;
    assert.deepEqual({ ...row }, {
      channel: "sms",
      address: "+34600111222",
      reason: "invalid_address",
    });
  });

  test("keeps what a suspended account could not send, and pauses the sender", async () => {
    const senderId = `${uniqueId("clinic")}:sms`;
    const sid = newSid();
    const delivery = await insertSent({ providerId: sid, senderId });
    await post({ delivery, sid, word: "failed", code: 30002 });
    const { status, failures } = await readDelivery(sql, delivery);
    assert.deepEqual([status, failures], ["scheduled", 0]);
    const [sender] = await sql`
      select pause_reason, paused_until > now() as paused from delivery.sender where id = ${senderId}`;
    assert.deepEqual({ ...sender }, { pauseReason: "account_suspended", paused: true });
  });

  test("answers as always to what it does not know", async () => {
    const unknown = "019a0000-0000-7000-8000-000000000000";
    assert.equal((await post({ delivery: unknown, word: "delivered" })).status, 204);
    assert.equal((await post({ delivery: "none", word: "delivered" })).status, 204);
    const delivery = await insertSent();
    assert.equal((await post({ delivery, word: "delivered", attempt: "x" })).status, 204);
    assert.equal((await post({ delivery, word: "brand_new" })).status, 204);
    assert.equal((await readDelivery(sql, delivery)).status, "sent");
  });

  test("names a code that nobody has listed in the log, once", async () => {
    const delivery = await insertSent();
    await post({ delivery, word: "failed", code: 39999 });
    await post({ delivery, word: "failed", code: 39999 });
    assert.equal(lines.filter((line) => line.includes("39999")).length, 1);
    assert.doesNotMatch(lines.join(""), /600111222/);
  });

  test("asks Twilio to come again when nothing can be recorded", async () => {
    const away = connectDatabase("postgres://nobody@127.0.0.1:1/none", { name: "away" });
    const via = createTwilioWebhook({
      sql: away,
      publicUrl: PUBLIC_URL,
      authToken: AUTH_TOKEN,
      log,
    });
    const response = await post({ delivery: await insertSent(), word: "delivered", via });
    assert.equal(response.status, 503);
    assert.ok(Number(response.headers.get("retry-after")) > 0);
    await away.end({ timeout: 1 });
  });
});

function inHours(hours: number): Date {
  return new Date(Date.now() + hours * 60 * MINUTE_MS);
}
