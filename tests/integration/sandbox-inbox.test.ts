import assert from "node:assert/strict";
import { describe, test } from "node:test";
import nodemailer from "nodemailer";
import type { DeliveredMessage } from "../../src/sandbox/inbox.ts";
import { startSandbox } from "../../src/sandbox/start-sandbox.ts";
import {
  ACCOUNT_SID,
  AUTH_TOKEN,
  connectTwilio,
  newNumber,
  startTestSandbox,
} from "../support/sandbox.ts";

const FROM = "Oak Street Clinic <appointments@oak.example>";
const SENDER = "+15005550006";

const heard: DeliveredMessage[] = [];
const sandbox = await startTestSandbox({ onMessage: (message) => heard.push(message) });
const small = await startTestSandbox({ keep: 10 });
const client = connectTwilio(sandbox.url);

function connectSmtp(smtpUrl: string) {
  const { hostname, port } = new URL(smtpUrl);
  return nodemailer.createTransport({ host: hostname, port: Number(port), pool: true });
}

type Refusal = { responseCode?: number; command?: string; response?: string };

/** Delivers a mail, and closes the connection. Returns what nodemailer threw, null when it was taken. */
async function mail(to: string, more: Record<string, unknown> = {}): Promise<Refusal | null> {
  const transport = connectSmtp(sandbox.smtpUrl);
  try {
    await transport.sendMail({ from: FROM, to, subject: "Your appointment", text: "Hi", ...more });
    return null;
  } catch (error) {
    return error as Refusal;
  } finally {
    transport.close();
  }
}

function messagesTo(to: string): DeliveredMessage[] {
  return sandbox.messages().filter((message) => message.to === to);
}

async function page(query: string): Promise<string> {
  const response = await fetch(`${sandbox.url}/${query}`);
  assert.match(String(response.headers.get("content-security-policy")), /default-src 'none'/);
  return await response.text();
}

describe("the sandbox's mail server", () => {
  test("keeps what a mail said", async () => {
    const to = "ana@example.org";
    const refused = await mail(to, {
      subject: "Cita en la Clínica Ruiz",
      text: "Hola, Ana",
      html: "<p>Hola, <b>Ana</b></p>",
      messageId: "<delivery-1@carillon.example>",
      list: { unsubscribe: "https://notify.example/u/token" },
      icalEvent: { filename: "cita.ics", content: "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n" },
    });
    assert.equal(refused, null);
    const [message] = messagesTo(to);
    assert.ok(message);
    const { id, at, headers = {}, attachments, ...rest } = message;
    assert.ok(Math.abs(Date.parse(at) - Date.now()) < 60_000);
    assert.deepEqual(rest, {
      channel: "email",
      from: '"Oak Street Clinic" <appointments@oak.example>',
      to,
      subject: "Cita en la Clínica Ruiz",
      text: "Hola, Ana",
      html: "<p>Hola, <b>Ana</b></p>",
      providerId: "<delivery-1@carillon.example>",
      status: "delivered",
    });
    assert.equal(headers["list-unsubscribe"], "<https://notify.example/u/token>");
    assert.ok(attachments?.includes("cita.ics"));
    assert.equal(heard.find((message) => message.id === id)?.to, to);
  });

  test("takes mail with a password, and many at once through a pool", async () => {
    const { hostname, port } = new URL(sandbox.smtpUrl);
    const transport = nodemailer.createTransport({
      host: hostname,
      port: Number(port),
      pool: true,
      auth: { user: "any", pass: "thing" },
    });
    const to = Array.from({ length: 50 }, (_, index) => `pool-${index}@example.org`);
    await Promise.all(to.map((to) => transport.sendMail({ from: FROM, to, text: "x" })));
    transport.close();
    for (const address of to) assert.equal(messagesTo(address).length, 1);
  });

  const refusals = [
    { to: "bounce-550@example.org", code: 550, text: "5.1.1", command: "RCPT TO" },
    { to: "bounce-550+anna@example.org", code: 550, text: "5.1.1", command: "RCPT TO" },
    { to: "bounce-552@example.org", code: 552, text: "5.2.2", command: "RCPT TO" },
    { to: "bounce-554@example.org", code: 554, text: "5.7.1", command: "RCPT TO" },
    { to: "defer-450@example.org", code: 450, text: "4.2.1", command: "RCPT TO" },
    { to: "defer-451@example.org", code: 451, text: "4.3.0", command: "RCPT TO" },
    { to: "defer-452@example.org", code: 452, text: "4.2.2", command: "RCPT TO" },
    { to: "text-451@example.org", code: 451, text: "4.3.0", command: "DATA" },
    { to: "text-554@example.org", code: 554, text: "5.6.0", command: "DATA" },
  ];
  for (const { to, code, text, command } of refusals) {
    test(`answers ${code} ${text} to ${command} for ${to}`, async () => {
      const refused = await mail(to);
      assert.deepEqual([refused?.responseCode, refused?.command], [code, command]);
      assert.ok(refused?.response?.startsWith(`${code} ${text}`));
      assert.deepEqual(messagesTo(to), []);
    });
  }

  test("closes the connection with a 421", async () => {
    assert.equal((await mail("defer-421@example.org"))?.responseCode, 421);
  });

  test("defers twice and then delivers", async () => {
    const to = "defer-twice+once@example.org";
    const codes = [await mail(to), await mail(to), await mail(to)].map((r) => r?.responseCode);
    assert.deepEqual(codes, [451, 451, undefined]);
    assert.equal(messagesTo(to).length, 1);
  });

  test("gives no answer to a text, whether it was delivered or lost", async () => {
    for (
      const [to, delivered] of [["unanswered-delivered@x.test", 1], [
        "unanswered-lost@x.test",
        0,
      ]] as const
    ) {
      const failed = await mail(to);
      assert.ok(failed !== null && failed.responseCode === undefined);
      assert.equal(messagesTo(to).length, delivered);
    }
  });

  test("refuses a mail over a megabyte", async () => {
    const refused = await mail("big@example.org", { text: "x".repeat(1_100_000) });
    assert.equal(refused?.responseCode, 552);
    assert.deepEqual(messagesTo("big@example.org"), []);
  });
});

describe("the sandbox's inbox", () => {
  test("lists as JSON, oldest first, by channel, with the total", async () => {
    const to = newNumber();
    await client.messages.create({ from: SENDER, to, body: "first" });
    await client.messages.create({ from: SENDER, to, body: "second" });
    await mail("json@example.org");
    const response = await fetch(`${sandbox.url}/messages?channel=sms`);
    const messages = await response.json() as DeliveredMessage[];
    assert.ok(messages.every(({ channel }) => channel === "sms"));
    const mine = messages.filter((message) => message.to === to);
    assert.deepEqual(mine.map(({ text }) => text), ["first", "second"]);
    assert.equal(Number(response.headers.get("x-total-count")), messages.length);
    const all = await (await fetch(`${sandbox.url}/messages`)).json() as DeliveredMessage[];
    assert.ok(all.some((message) => message.to === "json@example.org"));
    assert.equal((await fetch(`${sandbox.url}/messages?channel=fax`)).status, 400);
  });

  test("shows a mail's HTML where it can do no harm", async () => {
    await mail("html@example.org", { html: "<p>Hi</p><script>alert(1)</script>" });
    const [message] = messagesTo("html@example.org");
    const response = await fetch(`${sandbox.url}/messages/${message?.id}/html`);
    assert.match(await response.text(), /<p>Hi<\/p>/);
    assert.match(
      String(response.headers.get("content-security-policy")),
      /^sandbox; default-src 'none'/,
    );
    assert.equal((await fetch(`${sandbox.url}/messages/none/html`)).status, 404);
  });

  test("shows a page, escaped, that finds and filters", async () => {
    const to = newNumber();
    await client.messages.create({ from: SENDER, to, body: "<b>Hello</b> needle" });
    await mail("page@example.org", { subject: "Needle & thread" });
    const found = await page("?q=NEEDLE");
    assert.ok(found.includes("&lt;b&gt;Hello&lt;/b&gt; needle"));
    assert.ok(found.includes("Needle &amp; thread"));
    assert.ok(found.indexOf("Needle &amp;") < found.indexOf("&lt;b&gt;Hello"), "newest first");
    assert.ok(found.includes("1 segment"));
    assert.ok(!(await page("?q=needle&channel=email")).includes("Hello"));
    assert.ok(!(await page("?q=no-such-text")).includes("<li>"));
    assert.ok(
      (await page(`?q=${encodeURIComponent('"><script>')}`)).includes("&quot;&gt;&lt;script&gt;"),
    );
  });

  test("takes a patient's answer from the page, but not from another site's", async () => {
    const from = newNumber();
    const answer = (site: string) =>
      fetch(`${sandbox.url}/sandbox/replies`, {
        method: "POST",
        headers: { "sec-fetch-site": site },
        body: new URLSearchParams({ from, to: SENDER, body: "STOP" }),
        redirect: "manual",
      });
    assert.equal((await answer("cross-site")).status, 403);
    const response = await answer("same-origin");
    assert.deepEqual([response.status, response.headers.get("location")], [303, "/"]);
    await assert.rejects(client.messages.create({ from: SENDER, to: from, body: "x" }), {
      code: 21610,
    });
  });

  test("refuses an answer that is none", async () => {
    for (const body of ["", "{}", JSON.stringify({ from: "a", to: "b", body: "c", more: 1 })]) {
      const headers = { "content-type": "application/json" };
      const response = await fetch(`${sandbox.url}/sandbox/replies`, {
        method: "POST",
        headers,
        body,
      });
      assert.equal(response.status, 400);
    }
  });
});

describe("a sandbox that keeps little", () => {
  test("forgets the oldest messages, counts all, and starts over when told", async () => {
    const small10 = connectTwilio(small.url);
    const to = newNumber();
    for (let index = 0; index < 25; index++) {
      await small10.messages.create({ from: SENDER, to, body: `message ${index}` });
    }
    const response = await fetch(`${small.url}/messages`);
    assert.equal(response.headers.get("x-total-count"), "25");
    const kept = small.messages();
    assert.ok(kept.length >= 10 && kept.length <= 11);
    assert.equal(kept.at(-1)?.text, "message 24");
    assert.ok((await small10.messages.list({ to })).length <= 11);

    assert.equal((await fetch(`${small.url}/messages`, { method: "DELETE" })).status, 204);
    assert.deepEqual(small.messages(), []);
    assert.deepEqual(await small10.messages.list({ to }), []);
  });
});

describe("startSandbox()", () => {
  test("says which port is in use", async () => {
    const port = Number(new URL(sandbox.url).port);
    const smtpPort = Number(new URL(sandbox.smtpUrl).port);
    const options = {
      now: () => new Date(),
      twilio: { accountSid: ACCOUNT_SID, authToken: AUTH_TOKEN },
      seed: "carillon",
    };
    await assert.rejects(startSandbox({ ...options, port, smtpPort: 0 }), {
      message: new RegExp(`^Cannot start the sandbox on port ${port}: it is in use`),
    });
    await assert.rejects(startSandbox({ ...options, port: 0, smtpPort }), {
      message: new RegExp(`^Cannot start the sandbox on port ${smtpPort}: it is in use`),
    });
  });
});
