import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { CALLS_PER_SENDER, connectSmtp, createSmtpProvider } from "../../src/email-worker/smtp.ts";
import { startWorker } from "../../src/shared/delivery/start-worker.ts";
import type { Channel, DeliveryStatus } from "../../src/shared/domain/delivery.ts";
import { createMemoryQueue } from "../../src/shared/messaging/memory-queue.ts";
import { startSmsWorker } from "../../src/sms-worker/start-sms-worker.ts";
import { createTestDatabase, skipWithoutPostgres } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { insertDelivery, readDelivery, uniqueId } from "../support/ledger.ts";
import { createSmtpServer, type Fault, type Stage } from "../support/smtp-server.ts";
import { createTwilioServer, type TwilioFault } from "../support/twilio-server.ts";
import { clinic, createTestLog, hint, plainTemplates } from "../support/workers.ts";

const PREFETCH = 100;
/** More than all the connections of a worker, and than half of its hands. */
const STUCK = 80;
const NEIGHBOURS = 40;
/** The bound for others while one sender is in trouble. */
const NEIGHBOURS_MAX_MS = 10_000;

const database = await createTestDatabase();
const { sql } = database;

/** Both workers as in production, with providers that do what the test says and two clinics of their own. */
async function setUp({ smtpUrl }: { smtpUrl?: string } = {}) {
  const [smtp, twilio] = [await createSmtpServer(), await createTwilioServer()];
  const queue = createMemoryQueue();
  const { log, lines } = createTestLog();
  const from = { email: `${uniqueId("a")}@oak.example`, sms: `+4477009${Date.now() % 100_000}` };
  const slow = clinic({
    id: uniqueId("slow"),
    senders: { email: { from: from.email }, sms: { from: from.sms } },
  });
  const other = clinic({ id: uniqueId("other") });
  const clinics = new Map([slow, other].map((one) => [one.id, one]));
  const parts = { sql, queue, clinics, templates: plainTemplates, log, prefetch: PREFETCH };
  const transport = connectSmtp(smtpUrl ?? smtp.url);
  const provider = createSmtpProvider(transport);
  const workers = [
    await startWorker("email", { ...parts, provider, callsPerSender: CALLS_PER_SENDER }),
    await startSmsWorker({
      ...parts,
      twilio: {
        accountSid: `AC${"0".repeat(32)}`,
        authToken: "secret",
        apiUrl: twilio.url,
        statusCallbackUrl: "https://notify.example.test/webhooks/twilio/status",
      },
    }),
  ];
  after(async () => {
    transport.close(); // What is stuck ends here
    await Promise.all(workers.map((worker) => worker.stop()));
  });
  let people = 0;
  async function send(channel: Channel, count: number, clinicId = slow.id): Promise<string[]> {
    const ids: string[] = [];
    for (let index = 0; index < count; index += 1) {
      people += 1;
      const recipient = {
        name: "Ana",
        email: `p${people}@example.test`,
        phone: `+346001${10_000 + people}`,
      };
      ids.push(await insertDelivery(sql, { channel, notification: { clinicId, recipient } }));
    }
    await hint(queue, channel, ids);
    return ids;
  }
  const untilSettled = (id: string) =>
    eventually("the call is settled", async () => {
      const row = await readDelivery(sql, id);
      return row.attempt > 0 && row.leaseUntil === null && row.status !== "sending" && row;
    }, { timeoutMs: 45_000 });
  return { smtp, twilio, queue, lines, from, slow, other, send, untilSettled };
}

describe("providers that fail", { skip: skipWithoutPostgres() }, () => {
  const reply = (line: string): Fault => ({ reply: line });
  // At each stage, what the ledger makes of it. Only after the body is it unclear
  const SMTP: [Stage, Fault, DeliveryStatus][] = [
    ["greeting", "hang up", "scheduled"],
    ["greeting", reply("421 4.3.2 closing"), "scheduled"],
    ["EHLO", "hang up", "scheduled"],
    ["EHLO", reply("421 4.3.2 closing"), "scheduled"],
    ["AUTH", "hang up", "scheduled"],
    ["MAIL", "hang up", "scheduled"],
    ["MAIL", reply("421 4.3.2 closing"), "scheduled"],
    ["MAIL", reply("450 4.2.1 busy"), "scheduled"],
    ["RCPT", "hang up", "scheduled"],
    ["RCPT", reply("421 4.3.2 closing"), "scheduled"],
    ["RCPT", reply("450 4.2.1 busy"), "scheduled"],
    ["RCPT", reply("550 5.1.1 no such user"), "permanent_failure"],
    ["DATA", "hang up", "scheduled"],
    ["DATA", reply("450 4.2.1 busy"), "scheduled"],
    ["DATA", reply("550 5.7.1 policy"), "permanent_failure"],
    ["content", "hang up", "unknown"],
    ["body", "hang up", "unknown"],
    ["body", reply("421 4.3.2 closing"), "scheduled"],
    ["body", reply("450 4.2.1 busy"), "scheduled"],
    ["body", reply("550 5.7.1 policy"), "permanent_failure"],
    ["body", "reply and hang up", "sent"],
  ];

  test("SMTP at each stage: each in its class, and none sent a second time without asking", async (t) => {
    const { smtp, twilio, send, untilSettled } = await setUp();
    const classes: string[] = [];
    for (const [stage, fault] of SMTP) {
      smtp.fail(stage, fault);
      const before = smtp.visits().DATA;
      const [id = ""] = await send("email", 1);
      const { status } = await untilSettled(id);
      classes.push(status);
      assert.ok(smtp.visits().DATA - before <= 1, `${stage}: one body at most`);
    }
    assert.deepEqual(classes, SMTP.map(([, , status]) => status));
    const [after = ""] = await send("email", 1);
    assert.equal((await untilSettled(after)).status, "sent", "the next mail goes through");
    assert.equal(twilio.messages.length, 0);
    t.diagnostic(`${SMTP.length} SMTP faults: ${SMTP.length} in the right class, sent twice 0`);
  });

  test("SMTP without TLS where TLS was asked for: tried again later, and nothing told in clear", async () => {
    const plain = await createSmtpServer();
    const { send, untilSettled } = await setUp({ smtpUrl: plain.url.replace("smtp:", "smtps:") });
    const [id = ""] = await send("email", 1);
    const { status, failures } = await untilSettled(id);
    assert.deepEqual([status, failures, plain.mails.length], ["scheduled", 1, 0]);
    assert.equal(plain.visits().AUTH, 0, "no password was told");
  });

  const TWILIO: [string, TwilioFault, DeliveryStatus][] = [
    ["429", { status: 429, code: 20429 }, "scheduled"],
    ["429 with Retry-After", { status: 429, code: 20429, retryAfter: 90 }, "scheduled"],
    ["500, taken", { status: 500, code: 20500, kept: true }, "unknown"],
    ["500, not taken", { status: 500, code: 20500 }, "unknown"],
    ["503 without a code, taken", { status: 503, kept: true }, "unknown"],
    ["taken, then reset", "kept and cut", "unknown"],
    ["reset, not taken", "cut", "unknown"],
  ];

  test("Twilio: what was taken is found and not sent again, what was not is sent once", async (t) => {
    const { twilio, queue, send, untilSettled } = await setUp();
    const ids: string[] = [];
    for (const [what, fault, status] of TWILIO) {
      twilio.fail("POST", fault);
      const calls = twilio.calls("POST");
      const [id = ""] = await send("sms", 1);
      const row = await untilSettled(id);
      assert.equal(row.status, status, what);
      assert.equal(twilio.calls("POST") - calls, 1, `${what}: one call`);
      if (what === "429 with Retry-After") {
        assert.ok((row.dueAt?.getTime() ?? 0) > Date.now() + 80_000, "not before Twilio said");
      }
      ids.push(id);
    }
    await eventually("all are sent", async () => {
      await sql`
        update delivery.delivery set due_at = now()
         where id = any(${ids}) and lease_until is null and due_at > now()`;
      await hint(queue, "sms", ids);
      const rows = await Promise.all(ids.map((id) => readDelivery(sql, id)));
      return rows.every(({ status }) => status === "sent");
    });
    const of = (id: string) =>
      twilio.messages.filter(({ parameters }) => parameters.StatusCallback?.includes(id)).length;
    assert.deepEqual(ids.map(of), ids.map(() => 1));
    t.diagnostic(`${TWILIO.length} Twilio faults: lost 0, duplicated 0`);
  });
});

describe("a sender whose calls do not end", { skip: skipWithoutPostgres() }, () => {
  const STILL: [Channel, string, (world: Awaited<ReturnType<typeof setUp>>) => void][] = [
    [
      "email",
      "a tarpit of one byte a second",
      ({ smtp, from }) => smtp.fail("RCPT", "tarpit", STUCK, { from: from.email }),
    ],
    [
      "email",
      "silence after DATA",
      ({ smtp, from }) => smtp.fail("DATA", "silence", STUCK, { from: from.email }),
    ],
    [
      "sms",
      "a tarpit of one byte a second",
      ({ twilio, from }) => twilio.fail("POST", "tarpit", STUCK, { from: from.sms }),
    ],
    [
      "sms",
      "half-open connections",
      ({ twilio, from }) => twilio.fail("POST", "silence", STUCK, { from: from.sms }),
    ],
  ];

  // All at once: each takes as long as a call may
  test("leaves the others their hands and connections, and loses its own in time", {
    concurrency: true,
  }, async (t) => {
    await Promise.all(
      STILL.map(([channel, what, fail]) =>
        t.test(`${what}, by ${channel}`, async (t) => {
          const world = await setUp();
          const { send, other, untilSettled } = world;
          fail(world);
          const stuck = await send(channel, STUCK);
          await eventually("its calls are under way", async () => {
            const rows = await sql`
            select id from delivery.delivery where id = any(${stuck}) and status = 'sending'`;
            return rows.length >= CALLS_PER_SENDER;
          });
          const hintedAt = performance.now();
          const neighbours = await send(channel, NEIGHBOURS, other.id);
          await eventually("the neighbours are sent", async () => {
            const rows = await Promise.all(neighbours.map((id) => readDelivery(sql, id)));
            return rows.every(({ status }) => status === "sent");
          }, { timeoutMs: NEIGHBOURS_MAX_MS });
          const neighboursMs = Math.round(performance.now() - hintedAt);

          const settled = await Promise.all(stuck.map(untilSettled));
          // Nothing of an email had left; a text message may have been taken
          const open = channel === "sms" ? "unknown" : "scheduled";
          const statuses = new Set(settled.map(({ status }) => status));
          assert.ok(statuses.isSubsetOf(new Set([open, "scheduled"])), [...statuses].join(", "));
          const called = settled.filter(({ failures, status }) =>
            failures > 0 || status === "unknown"
          );
          assert.ok(called.length < STUCK, "not all were called in vain");
          t.diagnostic(
            `${what}, ${channel}: ${NEIGHBOURS} neighbours in ${neighboursMs} ms, called in vain ${called.length} of ${STUCK}`,
          );
        })
      ),
    );
  });
});
