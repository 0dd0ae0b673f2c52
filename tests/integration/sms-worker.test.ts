import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import type { WorkerParts } from "../../src/shared/delivery/start-worker.ts";
import type { Clinic } from "../../src/shared/domain/clinic.ts";
import type { DeliveryStatus } from "../../src/shared/domain/delivery.ts";
import { createMemoryQueue } from "../../src/shared/messaging/memory-queue.ts";
import { startSmsWorker } from "../../src/sms-worker/start-sms-worker.ts";
import type { TwilioOptions } from "../../src/sms-worker/twilio.ts";
import { createTestDatabase } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import {
  insertDelivery,
  insertPatient,
  minutesFromNow,
  readDelivery,
  uniqueId,
} from "../support/ledger.ts";
import { createTwilioServer, type TwilioFault } from "../support/twilio-server.ts";
import { clinic, createTestLog, hint, plainTemplates } from "../support/workers.ts";

const ACCOUNT_SID = `AC${"0".repeat(32)}`;
const SERVICE_SID = `MG${"a".repeat(32)}`;
const TEXT = "Oak Clinic to Ana: appointment-reminder";

const database = await createTestDatabase();

describe("the SMS worker", () => {
  type Setup = Partial<WorkerParts> & { clinic?: Partial<Clinic>; twilio?: Partial<TwilioOptions> };

  /** A worker with a clinic, a queue and a Twilio of its own. */
  async function setUp({ clinic: fields, twilio, ...parts }: Setup = {}) {
    const server = await createTwilioServer();
    const queue = createMemoryQueue();
    const { log, lines } = createTestLog();
    const oak = clinic({ id: uniqueId("clinic"), ...fields });
    const worker = await startSmsWorker({
      sql: database.sql,
      queue,
      clinics: new Map([[oak.id, oak]]),
      templates: plainTemplates,
      log,
      prefetch: 20,
      twilio: {
        accountSid: ACCOUNT_SID,
        authToken: "secret",
        apiUrl: server.url,
        statusCallbackUrl: "https://notify.example.test/webhooks/twilio/status",
        ...twilio,
      },
      ...parts,
    });
    after(() => worker.stop());

    const insert = ({ notification, ...delivery }: Parameters<typeof insertDelivery>[1] = {}) =>
      insertDelivery(database.sql, {
        channel: "sms",
        notification: { clinicId: oak.id, ...notification },
        ...delivery,
      });
    /** Hints, and waits until the worker has made up its mind. */
    async function deliver(id: string) {
      const before = await readDelivery(database.sql, id);
      await hint(queue, "sms", [id]);
      return await eventually("the delivery is settled", async () => {
        const delivery = await readDelivery(database.sql, id);
        const changed = (["status", "attempt", "failures", "enquiries"] as const)
          .some((field) => delivery[field] !== before[field]);
        return changed && delivery.leaseUntil === null && delivery;
      });
    }
    return { server, queue, worker, lines, clinicId: oak.id, insert, deliver };
  }

  test("sends what is due, from the clinic's number to the patient's, and records it", async () => {
    const { server, insert, deliver } = await setUp();
    const id = await insert({ notification: { expiresAt: minutesFromNow(10) } });

    const delivery = await deliver(id);
    const [message] = server.messages;
    const { ValidityPeriod, ...parameters } = message?.parameters ?? {};
    assert.deepEqual(parameters, {
      To: "+34600111222",
      From: "+447700900000",
      Body: TEXT,
      StatusCallback:
        `https://notify.example.test/webhooks/twilio/status?delivery=${id}&attempt=1#rc=5&rp=all`,
    });
    assert.ok(Number(ValidityPeriod) > 500 && Number(ValidityPeriod) <= 600);
    assert.equal(
      server.headers().authorization,
      `Basic ${Buffer.from(`${ACCOUNT_SID}:secret`).toString("base64")}`,
    );
    assert.deepEqual([delivery.status, delivery.providerId], ["sent", message?.sid]);
  });

  test("sends through a Messaging Service, for ten hours at most", async () => {
    const { server, insert, deliver } = await setUp({
      clinic: { senders: { sms: { from: SERVICE_SID } } },
    });
    await deliver(await insert({ notification: { expiresAt: minutesFromNow(24 * 60) } }));
    const { From, MessagingServiceSid, ValidityPeriod } = server.messages[0]?.parameters ?? {};
    assert.deepEqual([From, MessagingServiceSid, ValidityPeriod], [
      undefined,
      SERVICE_SID,
      "36000",
    ]);
  });

  const faults: [string, TwilioFault, DeliveryStatus, string | null, number][] = [
    ["429", { status: 429, code: 20429 }, "scheduled", null, 1],
    ["a 429 without a code", { status: 429 }, "scheduled", null, 1],
    ["500", { status: 500, code: 20500 }, "unknown", null, 0],
    ["a gateway's 502", { status: 502 }, "unknown", null, 0],
    ["a cut connection", "cut", "unknown", null, 0],
    ["21610", { status: 400, code: 21610 }, "suppressed", "opted_out", 0],
    ["21211", { status: 400, code: 21211 }, "permanent_failure", "invalid_address", 0],
    ["21614", { status: 400, code: 21614 }, "permanent_failure", "landline", 0],
    ["an unlisted code", { status: 400, code: 29999 }, "technical_failure", "provider_error", 0],
    ["an answer that is not Twilio's", { status: 200 }, "unknown", null, 0],
  ];
  for (const [what, fault, status, reason, failures] of faults) {
    test(`${what} makes it ${reason ?? status}`, async () => {
      const { server, insert, deliver } = await setUp();
      server.fail("POST", fault);
      const delivery = await deliver(await insert());
      assert.deepEqual(
        [delivery.status, delivery.reason, delivery.failures],
        [status, reason, failures],
      );
    });
  }

  test("tries again later when nobody listens", async () => {
    const { insert, deliver } = await setUp({ twilio: { apiUrl: "http://127.0.0.1:1" } });
    const { status, failures, providerCode } = await deliver(await insert());
    assert.deepEqual([status, failures, providerCode], ["scheduled", 1, "ECONNREFUSED"]);
  });

  test("asks later when no answer came in time", async () => {
    const { server, insert, deliver } = await setUp({ twilio: { callTimeoutMs: 100 } });
    server.fail("POST", "silence");
    const { status, providerCode } = await deliver(await insert());
    assert.deepEqual([status, providerCode], ["unknown", "ETIMEDOUT"]);
  });

  test("waits as long as Twilio asks", async () => {
    const { server, insert, deliver } = await setUp();
    server.fail("POST", { status: 429, code: 20429, retryAfter: 600 });
    const { dueAt } = await deliver(await insert());
    assert.ok((dueAt?.getTime() ?? 0) > Date.now() + 9 * 60_000);
  });

  test("keeps the delivery and pauses the sender when the account is refused", async () => {
    const { server, queue, insert, deliver, clinicId } = await setUp();
    server.fail("POST", { status: 401, code: 20003 });
    const delivery = await deliver(await insert());
    assert.deepEqual([delivery.status, delivery.failures], ["scheduled", 0]);
    await eventually("the sender is paused", async () => {
      const [sender] = await database.sql`
        select pause_reason from delivery.sender
         where id = ${`${clinicId}:sms`} and paused_until > now()`;
      return sender?.pauseReason === "config_error";
    });
    const other = await insert({ status: "queued" });
    await hint(queue, "sms", [other]);
    await eventually("the next one is held back", async () => {
      const { status, dueAt } = await readDelivery(database.sql, other);
      return status === "scheduled" && dueAt !== null && dueAt > new Date();
    });
    assert.equal(server.messages.length, 0);
  });

  test("puts a number that said STOP on the stop list", async () => {
    const { server, insert, deliver, clinicId } = await setUp();
    server.fail("POST", { status: 400, code: 21610 });
    await deliver(await insert());
    const [row] = await eventually("it is suppressed", async () => {
      const rows = await database.sql`
        select address, reason, source from delivery.suppression where clinic_id = ${clinicId}`;
      return rows.length > 0 && rows;
    });
    assert.deepEqual({ ...row }, {
      address: "+34600111222",
      reason: "opted_out",
      source: "sms 21610",
    });
  });

  describe("an attempt whose end nobody recorded", () => {
    const unknown = { status: "unknown", attempt: 1, attemptedAt: new Date() } as const;
    const parameters = { To: "+34600111222", From: "+447700900000", Body: TEXT };

    test("is sent when Twilio has the message", async () => {
      const { server, insert, deliver } = await setUp();
      server.fail("POST", "kept and cut");
      const id = await insert();
      assert.equal((await deliver(id)).status, "unknown");

      await database.sql`update delivery.delivery set due_at = now() where id = ${id}`;
      const delivery = await deliver(id);
      assert.deepEqual([delivery.status, delivery.providerId], ["sent", server.messages[0]?.sid]);
      assert.equal(server.messages.length, 1);
    });

    test("is sent again when Twilio has none, or other messages", async () => {
      const { server, insert, deliver } = await setUp();
      const other = server.keep({ ...parameters, Body: "Other words" });
      await insert({ status: "sent", providerId: other });
      server.keep({ ...parameters, From: "+447700900999" });
      server.keep({ ...parameters, To: "+34600111333" });
      const earlier = server.keep(parameters);
      await insert({ status: "sent", providerId: earlier });

      const id = await insert(unknown);
      assert.equal((await deliver(id)).status, "scheduled");
      const delivery = await deliver(id);
      assert.deepEqual([delivery.status, delivery.attempt], ["sent", 2]);
      assert.equal(server.messages.length, 5);
    });

    test("stays open while a message of its minute in other words is nobody's", async () => {
      const { server, insert, deliver } = await setUp();
      const sid = server.keep({ ...parameters, Body: "The words before the template was changed" });
      const id = await insert(unknown);
      const { status, enquiries, providerCode } = await deliver(id);
      assert.deepEqual([status, enquiries, providerCode], ["unknown", 1, "other_words"]);

      await insert({ status: "sent", providerId: sid }); // Its own record came
      await database.sql`update delivery.delivery set due_at = now() where id = ${id}`;
      assert.equal((await deliver(id)).status, "scheduled");
      assert.equal(server.messages.length, 1);
    });

    test("is looked for at the number that was called, whatever the patient's is now", async () => {
      const { server, insert, deliver, clinicId } = await setUp();
      const { id: patientId } = await insertPatient(database.sql, { phone: "+34600111222" });
      server.fail("POST", "kept and cut");
      const id = await insert({
        notification: { clinicId, patientId, recipient: { name: "Ana" } },
      });
      assert.equal((await deliver(id)).status, "unknown");
      await database.sql`
        update clinic.patient set phone = '+34600111999' where id = ${patientId}`;
      await database.sql`update delivery.delivery set due_at = now() where id = ${id}`;
      assert.equal((await deliver(id)).status, "sent");
      assert.equal(server.messages.length, 1);
      const [row] = await database.sql`
        select called_address from delivery.delivery where id = ${id}`;
      assert.equal(row?.calledAddress, null, "kept only while the attempt is open");
    });

    test("is not the same message for two deliveries with the same words", async () => {
      const { server, insert, deliver } = await setUp();
      const sid = server.keep(parameters);
      const ids = await Promise.all([insert(unknown), insert(unknown), insert(unknown)]);
      const settled = await Promise.all(ids.map(deliver));
      assert.deepEqual(settled.map(({ status }) => status).sort(), [
        "scheduled",
        "scheduled",
        "sent",
      ]);
      assert.equal(settled.find(({ status }) => status === "sent")?.providerId, sid);
    });

    test("is not the message of its own earlier attempt, that a receipt has told of", async () => {
      const { server, insert, deliver } = await setUp();
      const sid = server.keep(parameters);
      const id = await insert({ ...unknown, attempt: 2, providerId: sid });
      await database.sql`
        insert into delivery.delivery_event (delivery_id, kind, status, attempt, provider_event)
        values (${id}, 'receipt', 'failed', 1, ${`${sid}:failed:30500`})`;
      assert.equal((await deliver(id)).status, "scheduled");
    });

    test("is not asked about through an account that is refused: its sender is paused", async () => {
      const { server, insert, deliver, clinicId } = await setUp();
      server.fail("GET", { status: 401, code: 20003 });
      const { status, enquiries } = await deliver(
        await insert({ ...unknown, enquiries: 3, providerCode: "first" }),
      );
      assert.deepEqual([status, enquiries], ["unknown", 0]);
      await eventually("the sender is paused", async () => {
        const [sender] = await database.sql`
          select in_trouble from delivery.sender
           where id = ${`${clinicId}:sms`} and paused_until > now()`;
        return sender?.inTrouble;
      });
    });

    test("is not an older message with the same words", async () => {
      const { server, insert, deliver } = await setUp();
      server.keep(parameters);
      const id = await insert({ ...unknown, attemptedAt: minutesFromNow(10) });
      assert.equal((await deliver(id)).status, "scheduled");
    });

    test("stays open while Twilio cannot be asked", async () => {
      const { server, insert, deliver } = await setUp();
      server.fail("GET", { status: 503 });
      const id = await insert(unknown);
      const { status, enquiries, dueAt } = await deliver(id);
      assert.deepEqual([status, enquiries], ["unknown", 1]);
      assert.ok((dueAt?.getTime() ?? 0) > Date.now());
      assert.equal(server.messages.length, 0);
    });

    test("stays open while its template is missing, and goes to a person without a number", async () => {
      const { insert, deliver } = await setUp();
      const broken = await insert({ ...unknown, notification: { template: "broken" } });
      assert.equal((await deliver(broken)).enquiries, 1);
      const lost = await insert({ ...unknown, notification: { recipient: { name: "Ana" } } });
      assert.equal((await deliver(lost)).reason, "ambiguous_unresolved");
    });
  });

  test("sends once however often and to however many workers it is hinted", async () => {
    const first = await setUp();
    const second = await setUp({ queue: first.queue, clinic: { id: first.clinicId } });
    const ids = await Promise.all(Array.from({ length: 30 }, () => first.insert()));
    await hint(first.queue, "sms", [...ids, ...ids, ...ids]);
    await eventually("all are sent", async () => {
      const [row] = await database.sql<{ sent: number }[]>`
        select count(*)::int as sent from delivery.delivery
         where id = any(${ids}) and status = 'sent'`;
      return row?.sent === ids.length;
    });
    await hint(first.queue, "sms", ids); // Late ones
    await first.worker.stop();
    await second.worker.stop();
    const messages = [...first.server.messages, ...second.server.messages];
    assert.equal(new Set(messages.map(({ parameters }) => parameters.StatusCallback)).size, 30);
    assert.equal(messages.length, 30);
  });

  test("logs neither numbers nor names nor Twilio's words", async () => {
    const { server, insert, deliver, lines } = await setUp();
    server.fail("POST", { status: 400, code: 21211 });
    await deliver(await insert());
    await eventually("it is logged", () => lines.length > 0);
    assert.doesNotMatch(lines.join(""), /600111222|Ana|quoted here/);
  });
});
