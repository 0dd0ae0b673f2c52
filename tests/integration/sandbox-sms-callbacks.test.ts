import assert from "node:assert/strict";
import { describe, test } from "node:test";
import twilio from "twilio";
import { eventually } from "../support/eventually.ts";
import {
  ACCOUNT_SID,
  AUTH_TOKEN,
  connectTwilio,
  newNumber,
  numberEnding,
  refusal,
  startTestSandbox,
  startWebhook,
} from "../support/sandbox.ts";

const FROM = "+15005550006";
const SERVICE = "MG00000000000000000000000000000001";

const receipts = await startWebhook();
const flaky = await startWebhook();
const inbound = await startWebhook();
const sandbox = await startTestSandbox({
  inboundUrl: `${inbound.url}/webhooks/twilio/inbound`,
  callbackRetryAfterMs: 0,
});
const client = connectTwilio(sandbox.url);

describe("the sandbox's Twilio, calling back", () => {
  const callsOf = (sid: string) => receipts.calls.filter(({ form }) => form.MessageSid === sid);

  async function sendWithCallback(to: string): Promise<string> {
    const { sid } = await client.messages.create({
      from: FROM,
      to,
      body: "x",
      statusCallback: `${receipts.url}/webhooks/twilio/status?delivery=d-1&note=a%20b#rc=5&rp=all`,
    });
    return sid;
  }

  test("reports sent and delivered, signed over the address without its fragment", async () => {
    const sid = await sendWithCallback(newNumber());
    const calls = await eventually("both receipts", () => {
      const calls = callsOf(sid);
      return calls.length === 2 && calls;
    });
    assert.deepEqual(calls.map(({ form }) => form.MessageStatus).sort(), ["delivered", "sent"]);
    for (const { url, form, signature } of calls) {
      assert.equal(url, `${receipts.url}/webhooks/twilio/status?delivery=d-1&note=a%20b`);
      assert.equal(form.AccountSid, ACCOUNT_SID);
      assert.ok(twilio.validateRequest(AUTH_TOKEN, signature, url, form));
      assert.ok(!twilio.validateRequest("another", signature, url, form));
    }
  });

  const failures = [
    { ending: "0190", status: "undelivered", errorCode: "30003" },
    { ending: "0191", status: "undelivered", errorCode: "30005" },
    { ending: "0192", status: "undelivered", errorCode: "30006" },
    { ending: "0193", status: "undelivered", errorCode: "30007" },
    { ending: "0194", status: "failed", errorCode: "30008" },
  ];
  for (const { ending, status, errorCode } of failures) {
    test(`reports ${status} with ${errorCode} for a number that ends in ${ending}`, async () => {
      const sid = await sendWithCallback(numberEnding(ending));
      const { form } = await eventually(
        "the last receipt",
        () => callsOf(sid).find(({ form }) => form.MessageStatus !== "sent"),
      );
      assert.deepEqual([form.MessageStatus, form.ErrorCode], [status, errorCode]);
      const message = await client.messages(sid).fetch();
      assert.deepEqual([message.status, message.errorCode], [status, Number(errorCode)]);
    });
  }
});

describe("the sandbox's Twilio, when the webhook fails", () => {
  const triesFor = (sid: string) => flaky.calls.filter(({ form }) => form.MessageSid === sid);

  /** To a number of which sent is the last that is heard: one callback, answered so. */
  async function send(...answers: number[]): Promise<string> {
    flaky.answers.push(...answers);
    const to = numberEnding("0188");
    const create = { from: FROM, to, body: "x", statusCallback: flaky.url };
    return (await client.messages.create(create)).sid;
  }

  test("tries again after a 5xx, six times at most, and not after a 4xx", async () => {
    const sid = await send(503, 500, 204);
    await eventually("the third try", () => triesFor(sid).length === 3);
    const hopeless = await send(...Array(6).fill(503));
    await eventually("the sixth try", () => triesFor(hopeless).length === 6);
    const refused = await send(404);
    await eventually("the only try", () => triesFor(refused).length === 1);

    // By the time the next one is reported, a further try would have come
    const next = await send(204);
    await eventually("the next message's", () => triesFor(next).length === 1);
    assert.deepEqual([sid, hopeless, refused].map((sid) => triesFor(sid).length), [3, 6, 1]);
  });
});

describe("the sandbox's Twilio, answered by a patient", () => {
  async function reply(from: string, to: string, body: string): Promise<unknown> {
    const response = await fetch(`${sandbox.url}/sandbox/replies`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ from, to, body }),
    });
    assert.equal(response.status, 202);
    return await response.json();
  }

  test("refuses a number that said STOP until it says START, for that sender alone", async () => {
    const to = newNumber();
    await reply(to, FROM, " stop ");
    const create = () => client.messages.create({ from: FROM, to, body: "x" });
    assert.deepEqual(await refusal(create()), { status: 400, code: 21610 });
    await client.messages.create({ from: "+15005550016", to, body: "x" });
    await reply(to, FROM, "START");
    await create();
  });

  test("passes the text on to the webhook, signed", async () => {
    const from = newNumber();
    await reply(from, SERVICE, "Stop");
    await reply(from, FROM, "Please stop writing");
    const calls = await eventually("both texts", () => {
      const calls = inbound.calls.filter(({ form }) => form.From === from);
      return calls.length === 2 && calls;
    });
    for (const { url, form, signature } of calls) {
      assert.ok(twilio.validateRequest(AUTH_TOKEN, signature, url, form));
    }
    const forms = calls.map(({ form: { Body, To, OptOutType } }) => ({ Body, To, OptOutType }));
    assert.deepEqual(forms.toSorted((a, b) => String(a.Body).localeCompare(String(b.Body))), [
      { Body: "Please stop writing", To: FROM, OptOutType: undefined },
      { Body: "Stop", To: SERVICE, OptOutType: "STOP" },
    ]);
  });
});
