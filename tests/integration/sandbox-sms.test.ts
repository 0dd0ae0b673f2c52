import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { countSegments as forecastSegments } from "../../src/shared/domain/sms-segments.ts";
import { countSegments } from "../../src/sandbox/twilio/segments.ts";
import { eventually } from "../support/eventually.ts";
import {
  ACCOUNT_SID,
  AUTH_TOKEN,
  connectTwilio,
  newNumber,
  numberEnding,
  refusal,
  startTestSandbox,
} from "../support/sandbox.ts";

const FROM = "+15005550006";
const SERVICE = "MG00000000000000000000000000000001";

const sandbox = await startTestSandbox();
const client = connectTwilio(sandbox.url);

describe("the sandbox's Twilio, sending", () => {
  test("takes a message and has it delivered", async () => {
    const to = newNumber();
    const created = await client.messages.create({ from: FROM, to, body: "Hello Zoë" });
    assert.match(created.sid, /^SM[0-9a-f]{32}$/);
    assert.deepEqual(
      [created.status, created.errorCode, created.numSegments, created.from, created.to],
      ["queued", null, "1", FROM, to],
    );
    assert.ok(Math.abs(created.dateCreated.getTime() - Date.now()) < 60_000);

    const delivered = await eventually("the message is delivered", async () => {
      const message = await client.messages(created.sid).fetch();
      return message.status === "delivered" && message;
    });
    assert.ok(delivered.dateSent instanceof Date);
    const [message] = sandbox.messages().filter((message) => message.to === to);
    assert.deepEqual({ ...message, id: "", at: "" }, {
      id: "",
      at: "",
      channel: "sms",
      from: FROM,
      to,
      text: "Hello Zoë",
      providerId: created.sid,
      segments: 1,
      status: "delivered",
    });
  });

  test("takes a message for a Messaging Service", async () => {
    const to = newNumber();
    const created = await client.messages.create({ messagingServiceSid: SERVICE, to, body: "x" });
    assert.deepEqual([created.status, created.messagingServiceSid], ["accepted", SERVICE]);
  });

  const invalid = [
    { code: 21211, why: "a recipient that is no number", message: { to: "0600 111 222" } },
    { code: 21602, why: "an empty text", message: { body: " " } },
    { code: 21617, why: "a text over 1600 letters", message: { body: "x".repeat(1_601) } },
    { code: 21212, why: "a sender that is none", message: { from: "A very long name" } },
    { code: 21624, why: "a validity over ten hours", message: { validityPeriod: 36_001 } },
    { code: 21609, why: "a callback that is no URL", message: { statusCallback: "localhost" } },
    { code: 21609, why: "a callback to no port", message: { statusCallback: "http://x:99999" } },
  ];
  for (const { code, why, message } of invalid) {
    test(`refuses ${why} with ${code}`, async () => {
      const create = client.messages.create({ from: FROM, to: newNumber(), body: "x", ...message });
      assert.deepEqual(await refusal(create), { status: 400, code });
    });
  }

  test("refuses a message without a sender with 21603", async () => {
    const create = client.messages.create({ to: newNumber(), body: "x" });
    assert.deepEqual(await refusal(create), { status: 400, code: 21603 });
  });

  test("refuses wrong credentials with 20003, and what is not there with 20404", async () => {
    const stranger = connectTwilio(sandbox.url, "wrong").messages.list({ limit: 1 });
    assert.deepEqual(await refusal(stranger), { status: 401, code: 20003 });
    const nothing = client.messages("SM00000000000000000000000000000000").fetch();
    assert.deepEqual(await refusal(nothing), { status: 404, code: 20404 });
  });

  for (const [ending, code] of [["0197", 21610], ["0198", 21614], ["0199", 21211]] as const) {
    test(`refuses a number that ends in ${ending} with ${code}`, async () => {
      const create = client.messages.create({ from: FROM, to: numberEnding(ending), body: "x" });
      assert.deepEqual(await refusal(create), { status: 400, code });
    });
  }

  test("is too busy for a number that ends in 0195 twice, and says when to come back", async () => {
    const to = numberEnding("0195");
    const form = new URLSearchParams({ From: FROM, To: to, Body: "x" });
    const send = () =>
      fetch(`${sandbox.url}/2010-04-01/Accounts/${ACCOUNT_SID}/Messages.json`, {
        method: "POST",
        headers: { authorization: `Basic ${btoa(`${ACCOUNT_SID}:${AUTH_TOKEN}`)}` },
        body: form,
      });
    const answers = [await send(), await send(), await send()];
    assert.deepEqual(answers.map(({ status }) => status), [429, 429, 201]);
    assert.equal(answers[0]?.headers.get("retry-after"), "1");
    assert.match(await answers[0]?.text() ?? "", /"code":20429/);
    assert.equal(sandbox.messages().filter((message) => message.to === to).length, 1);
  });

  test("takes a message to a number that ends in 0196, but answers 500", async () => {
    const to = numberEnding("0196");
    const create = client.messages.create({ from: FROM, to, body: "x" });
    assert.deepEqual(await refusal(create), { status: 500, code: 20500 });
    assert.equal((await client.messages.list({ to })).length, 1);
  });

  test("counts segments as the services forecast them", () => {
    const lengths = { a: [160, 161, 306, 307, 918], ł: [70, 71, 134, 135], "€": [80, 81, 153] };
    const uniform = Object.entries(lengths).flatMap(([letter, counts]) =>
      counts.map((count) => letter.repeat(count))
    );
    const cutBefore = `${"a".repeat(152)}€${"a".repeat(152)}`;
    for (const text of [...uniform, cutBefore, "Hello 🙂".repeat(20)]) {
      assert.equal(countSegments(text), forecastSegments(text).segments, text);
    }
  });
});

describe("the sandbox's Twilio, listing", () => {
  test("finds the messages to a number since a moment, newest first", async () => {
    const to = newNumber();
    const since = new Date();
    await client.messages.create({ from: FROM, to: newNumber(), body: "another's" });
    for (const body of ["one", "two"]) await client.messages.create({ from: FROM, to, body });

    const found = await client.messages.list({ to, dateSentAfter: since });
    assert.deepEqual(found.map(({ body }) => body), ["two", "one"]);
    const soon = new Date(Date.now() + 60_000);
    assert.deepEqual(await client.messages.list({ to, dateSentAfter: soon }), []);
    assert.deepEqual(await client.messages.list({ to, dateSentBefore: new Date(0) }), []);
    assert.deepEqual(await client.messages.list({ to, from: "+15005550099" }), []);
  });

  test("gives a long list page by page", async () => {
    const to = newNumber();
    const bodies = Array.from({ length: 7 }, (_, index) => `message ${index}`);
    for (const body of bodies) await client.messages.create({ from: FROM, to, body });
    const found = await client.messages.list({ to, pageSize: 3 });
    assert.deepEqual(found.map(({ body }) => body), bodies.toReversed());
  });
});
