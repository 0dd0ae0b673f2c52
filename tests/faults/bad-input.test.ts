import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CLINIC_KEY, deploy, type Deployment } from "../support/deployment.ts";
import { notification } from "../support/load.ts";
import { skipWithoutBroker } from "../support/queue.ts";
import { type RawAnswer, sendHttp, talk } from "../support/raw-http.ts";
import { residentMiB } from "../support/resident-memory.ts";
import { createTestConfig } from "../support/test-config.ts";
import { assertNoneLostNoneDoubled, untilDrained } from "../support/verdict.ts";

const MIB = 1_024 * 1_024;
const PATH = "/v1/notifications";
const HEADERS = { authorization: `Bearer ${CLINIC_KEY}`, "content-type": "application/json" };

const MANY = 1_000;
const AT_ONCE = 20;
const RESIDENT_MAX_MIB = 400;
const GROWTH_MAX_MIB = 100;

const SLOW_CONNECTIONS = 100;
const BYTE_EVERY_MS = 250;
/** The dispatcher gives headers 10 s and a request 20 s, and looks once a second. */
const SLOW_HEADERS_MAX_MS = 15_000;
const SLOW_REQUEST_MAX_MS = 25_000;

type Bad = {
  what: string;
  headers?: Record<string, string>;
  body: string | Uint8Array;
  chunked?: boolean;
  status: number;
  code: string;
};

/** A request that is right but for `fields`. */
function body(fields: Record<string, unknown>): string {
  return JSON.stringify({ ...notification(1, "email", "bad-input"), ...fields });
}

function bodyFor(recipient: Record<string, unknown>): string {
  return body({ recipient: { name: "Sam", email: "sam@patients.example.org", ...recipient } });
}

const CRLF = "Sam\r\nBcc: everybody@patients.example.org";
const INVALID = { status: 400, code: "invalid_request" };
const MALFORMED = { status: 400, code: "malformed_json" };
const TOO_LARGE = { status: 413, code: "too_large" };
const UNAUTHORIZED = { status: 401, code: "unauthorized" };
const BAD: Bad[] = [
  { what: "10 MiB", body: bodyFor({ name: "x".repeat(10 * MIB) }), ...TOO_LARGE },
  {
    what: "10 MiB that nobody announced",
    body: bodyFor({ name: "x".repeat(10 * MIB) }),
    chunked: true,
    ...TOO_LARGE,
  },
  { what: "deep JSON", body: `${"[".repeat(100_000)}${"]".repeat(100_000)}`, ...INVALID },
  { what: "deep JSON without an end", body: '{"a":'.repeat(40_000), ...INVALID },
  { what: "half a body", body: body({}).slice(0, -20), ...MALFORMED },
  { what: "no body", body: "", ...MALFORMED },
  { what: "invalid UTF-8", body: Buffer.from(bodyFor({ name: "é" }), "latin1"), ...MALFORMED },
  { what: "UTF-16", body: Buffer.from(body({}), "utf16le"), ...MALFORMED },
  { what: "half a character", body: bodyFor({ name: "\ud83d" }), ...INVALID },
  { what: "a line break in a name", body: bodyFor({ name: CRLF }), ...INVALID },
  { what: "a line break in an address", body: bodyFor({ email: `${CRLF}@a.example` }), ...INVALID },
  { what: "a line break in data", body: body({ data: { practitioner: CRLF } }), ...INVALID },
  { what: "a line break in a reference", body: body({ reference: CRLF }), ...INVALID },
  { what: "a NUL in a name", body: bodyFor({ name: "Sam\0" }), ...INVALID },
  { what: "two addresses", body: bodyFor({ email: "a@a.example,b@b.example" }), ...INVALID },
  { what: "a template's path", body: body({ template: "../../clinics" }), ...INVALID },
  { what: "data for the prototype", body: body({ data: { constructor: "x" } }), ...INVALID },
  { what: "a number beyond all", body: `{"data":{"practitioner":1e999}}`, ...INVALID },
  ...["+", "+34", "0", "+3460011122200000", "call me", "+34600111222 or +34600111223", "٠٠"]
    .map((phone) => ({
      what: `the phone number "${phone}"`,
      body: body({ recipient: { phone }, channels: ["sms"] }),
      ...INVALID,
    })),
  {
    what: "a form",
    body: "a=1",
    headers: { "content-type": "text/plain" },
    status: 415,
    code: "unsupported_media_type",
  },
  ...[
    "",
    "Bearer",
    "Bearer wrong",
    `Basic ${CLINIC_KEY}`,
    `Bearer ${CLINIC_KEY} x`,
    `Bearer ${"x".repeat(9_000)}`,
  ]
    .map((authorization) => ({
      what: `the credentials "${authorization.slice(0, 12)}" of ${authorization.length}`,
      headers: { authorization },
      body: body({}),
      ...UNAUTHORIZED,
    })),
];

const skip = skipWithoutBroker();
const { deployment, url, pid } = skip === false ? await start() : {} as System;
const asked = { requested: new Set<string>(), accepted: new Set<string>() };

describe("the Dispatcher, given what no client should send", { skip }, () => {
  // From the beginning to the last but one test, beside all the others
  const slow = skip === false
    ? Promise.all(Array.from({ length: SLOW_CONNECTIONS }, (_, index) => dawdle(url, index)))
    : Promise.resolve([]);

  const send = ({ headers, ...bad }: Pick<Bad, "body" | "headers" | "chunked">) =>
    sendHttp(`${url}${PATH}`, { ...bad, headers: { ...HEADERS, ...headers } });

  const { appointment } = notification(1, "email", "the-same");

  /** Asks for something in order, about the same appointment. */
  async function submit(reference: string, fields: object): Promise<RawAnswer> {
    const body = JSON.stringify({ ...notification(1, "email", reference), appointment, ...fields });
    asked.requested.add(reference);
    const answer = await send({ body });
    if (answer.status === 202) asked.accepted.add(reference);
    return answer;
  }

  for (const { what, status, code, ...bad } of BAD) {
    test(`refuses ${what} with ${status} ${code}`, async () => {
      const answer = await send(bad);
      assert.deepEqual([answer.status, answer.code], [status, code]);
    });
  }

  test("has queued nothing of all that", async () => {
    const rows = await deployment.sql`
      select from delivery.notification where reference like 'bad%' or reference like 'Sam%'`;
    assert.equal(rows.length, 0);
  });

  const host = "Host: dispatcher";
  const PROTOCOL: [what: string, bytes: string, heard: RegExp][] = [
    ["garbage", "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", /^HTTP\/1\.1 400 /],
    [
      "garbage behind a request",
      `GET /healthz HTTP/1.1\r\n${host}\r\n\r\nGARBAGE\r\n\r\n`,
      /^HTTP\/1\.1 200 /,
    ],
    ["HTTP/1.0", `GET /healthz HTTP/1.0\r\n${host}\r\n\r\n`, /^HTTP\/1\.1 200 /],
    ["no host", "GET /healthz HTTP/1.1\r\n\r\n", /^HTTP\/1\.1 400 /],
    [
      "huge headers",
      `GET /healthz HTTP/1.1\r\n${host}\r\nX: ${"x".repeat(32_000)}\r\n\r\n`,
      /^HTTP\/1\.1 431 /,
    ],
    [
      "two lengths, as smugglers send",
      `POST ${PATH} HTTP/1.1\r\n${host}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      /^HTTP\/1\.1 400 /,
    ],
    [
      "a bare line feed in a header",
      `GET /healthz HTTP/1.1\r\n${host}\r\nX: a\nY: b\r\n\r\n`,
      /^HTTP\/1\.1 400 /,
    ],
  ];
  for (const [what, bytes, expected] of PROTOCOL) {
    test(`answers ${what} and ends the connection`, async () => {
      const { heard } = await talk(url, bytes);
      assert.match(heard, expected);
    });
  }

  test("refuses another body under the same reference", async () => {
    assert.equal((await submit("same-reference", {})).status, 202);
    const other = await submit("same-reference", { data: { practitioner: "Dr Other" } });
    assert.deepEqual([other.status, other.code], [422, "reference_reused"]);
  });

  test("takes the same request twenty times at once for one", async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => submit("at-once", {})));
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [202]);
    const ids = new Set(answers.map(({ text }) => JSON.parse(text).id));
    assert.equal(ids.size, 1);
  });

  test("sends what is odd as it was written, and makes no header or template of it", async () => {
    const name = `{{7|plus:7}}{%raw%}<b>é</b>,😀`; // The templates take the first word of a name
    const practitioner = "{{ 7 | times: 7 }} <script>alert(1)</script>";
    const email = "odd@patients.example.org";
    const phone = "+34600200201";
    const fields = {
      recipient: { name, email, phone },
      channels: ["email", "sms"],
      data: { practitioner },
    };
    assert.equal((await submit("odd", fields)).status, 202);
    await untilDrained(deployment, { timeoutMs: 30_000 });
    const messages = deployment.sandbox.messages();

    const mail = messages.find(({ to }) => to === email);
    const text = messages.find(({ to }) => to === phone);
    assert.ok(mail !== undefined && text !== undefined, "both have arrived");
    assert.ok(mail.text.includes(name) && mail.text.includes(practitioner), mail.text);
    assert.doesNotMatch(mail.html ?? "", /<script>|<b>é/);
    assert.match(mail.html ?? "", /&lt;script&gt;/);
    assert.equal(mail.headers?.bcc, undefined);
    assert.ok(text.text.includes(name), text.text);
  });

  test("holds no more memory after a thousand of them", async (t) => {
    for (const bad of BAD) await send(bad);
    const earlier = await residentMiB(pid);
    let next = 0;
    const sendSome = async () => {
      for (let index = next++; index < MANY; index = next++) {
        await send(BAD[index % BAD.length] as Bad);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, sendSome));
    const later = await residentMiB(pid);
    t.diagnostic(
      `${MANY} bad requests, ${AT_ONCE} at once: ${earlier} MiB before, ${later} MiB after`,
    );
    assert.ok(later < RESIDENT_MAX_MIB && later - earlier < GROWTH_MAX_MIB);
  });

  test("gives up on those who send a byte now and then, and answers the others meanwhile", async (t) => {
    const longest = { headers: 0, body: 0 };
    for (const [index, { heard, ms }] of (await slow).entries()) {
      assert.match(heard, /^HTTP\/1\.1 (408|503) /); // 503: it was authorized, and had too little time
      const part = index % 2 === 0 ? "headers" : "body";
      longest[part] = Math.max(longest[part], ms);
    }
    t.diagnostic(
      `${SLOW_CONNECTIONS} slow clients: ended after ${longest.headers} and ${longest.body} ms`,
    );
    assert.ok(longest.headers < SLOW_HEADERS_MAX_MS, String(longest.headers));
    assert.ok(longest.body < SLOW_REQUEST_MAX_MS, String(longest.body));
  });

  test("has sent each message that it accepted once, and no other", async (t) => {
    await untilDrained(deployment, { timeoutMs: 30_000 });
    await assertNoneLostNoneDoubled(t, deployment, { asked, measured: {} });
    assert.doesNotMatch(deployment.output(), /patients\.example\.org|Bcc|script/);
  });
});

type System = { deployment: Deployment; url: string; pid: number };

async function start(): Promise<System> {
  const deployment = await deploy({
    services: ["notification-dispatcher", "email-worker", "sms-worker"],
    replicasOfEach: 1,
    environment: { CONFIG_DIR: await createTestConfig() },
  });
  const [dispatcher] = deployment.replicas("notification-dispatcher");
  assert.ok(dispatcher !== undefined);
  return { deployment, ...dispatcher };
}

/** Half of them take their time with the headers, the others with the body. */
async function dawdle(url: string, index: number): Promise<{ heard: string; ms: number }> {
  const start =
    `POST ${PATH} HTTP/1.1\r\nHost: dispatcher\r\nAuthorization: Bearer ${CLINIC_KEY}\r\n`;
  const headers = `${start}Content-Type: application/json\r\nContent-Length: 10000\r\n\r\n`;
  const slowly = { paceMs: BYTE_EVERY_MS };
  if (index % 2 === 0) return await talk(url, `${start}X-Slow: ${"x".repeat(1_000)}`, slowly);
  return await talk(url, "{" + " ".repeat(1_000), { ...slowly, first: headers });
}
