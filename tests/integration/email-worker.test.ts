import assert from "node:assert/strict";
import { after, describe, mock, test } from "node:test";
import { simpleParser } from "mailparser";
import { connectSmtp, createSmtpProvider } from "../../src/email-worker/smtp.ts";
import { connectDatabase } from "../../src/shared/database/connect.ts";
import { startWorker, type WorkerParts } from "../../src/shared/delivery/start-worker.ts";
import type { Clinic } from "../../src/shared/domain/clinic.ts";
import type { DeliveryStatus } from "../../src/shared/domain/delivery.ts";
import { createMemoryQueue } from "../../src/shared/messaging/memory-queue.ts";
import { createTestDatabase, skipWithoutPostgres } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { insertDelivery, readDelivery, readHistory, uniqueId } from "../support/ledger.ts";
import { createSmtpServer, type Fault, type Stage } from "../support/smtp-server.ts";
import { createTcpProxy } from "../support/tcp-proxy.ts";
import { clinic, createTestLog, hint, plainTemplates } from "../support/workers.ts";

const MINUTE_MS = 60_000;

const database = await createTestDatabase();

describe("the email worker", () => {
  type Setup = Partial<WorkerParts> & {
    clinic?: Partial<Clinic>;
    callTimeoutMs?: number;
    url?: string;
  };

  /** A worker with a clinic, a queue and an SMTP server of its own. */
  async function setUp({ clinic: fields, callTimeoutMs = 30_000, url, ...parts }: Setup = {}) {
    const server = await createSmtpServer();
    const transport = connectSmtp(url ?? server.url);
    const queue = createMemoryQueue();
    const { log, lines } = createTestLog();
    const oak = clinic({ id: uniqueId("clinic"), ...fields });
    const worker = await startWorker("email", {
      sql: database.sql,
      queue,
      clinics: new Map([[oak.id, oak]]),
      templates: plainTemplates,
      log,
      prefetch: 20,
      provider: createSmtpProvider(transport, { callTimeoutMs }),
      ...parts,
    });
    after(async () => {
      await worker.stop();
      transport.close();
    });

    const insert: typeof insertDelivery = (db, { notification, ...delivery } = {}) =>
      insertDelivery(db, {
        channel: "email",
        notification: { clinicId: oak.id, ...notification },
        ...delivery,
      });
    /** Hints, and waits until the worker has made up its mind. */
    async function deliver(id: string) {
      const before = await readDelivery(database.sql, id);
      await hint(queue, "email", [id]);
      return await eventually("the delivery is settled", async () => {
        const delivery = await readDelivery(database.sql, id);
        const asked = delivery.status !== before.status || delivery.failures > before.failures;
        return delivery.leaseUntil === null && (asked || delivery.attempt > before.attempt) &&
          delivery;
      });
    }
    return { server, queue, worker, lines, clinicId: oak.id, insert, deliver };
  }

  test("sends what is due, from the clinic's sender to the patient, and records it", async () => {
    const { server, insert, deliver, clinicId } = await setUp();
    const id = await insert(database.sql);

    const delivery = await deliver(id);
    const [mail] = server.mails;
    assert.deepEqual([mail?.from, mail?.to], ["reminders@oak.example", ["ana@example.test"]]);
    const message = await simpleParser(mail?.text ?? "");
    assert.equal(message.from?.text, '"Oak Clinic" <reminders@oak.example>');
    assert.equal(message.subject, "Oak Clinic to Ana: appointment-reminder");
    assert.equal(message.text?.trim(), "Oak Clinic to Ana: appointment-reminder");
    assert.equal(message.messageId, `<${id}@oak.example>`);
    assert.equal(message.headers.get("auto-submitted"), "auto-generated");
    assert.deepEqual([delivery.status, delivery.providerId], ["sent", `<${id}@oak.example>`]);
    assert.deepEqual(await readHistory(database.sql, id), ["sending", "sent"]);
    assert.ok(clinicId);
  });

  const reply = (line: string): Fault => ({ reply: line });
  const faults: [Stage, Fault, DeliveryStatus, string | null, { failures?: number }?][] = [
    ["greeting", "hang up", "scheduled", null],
    ["greeting", reply("554 no service for you"), "scheduled", null],
    ["EHLO", reply("421 4.3.2 closing"), "scheduled", null],
    ["EHLO", "hang up", "scheduled", null],
    ["AUTH", reply("454 4.7.0 try later"), "scheduled", null],
    ["MAIL", reply("451 4.3.0 try later"), "scheduled", null],
    ["MAIL", "hang up", "scheduled", null],
    ["RCPT", reply("450 4.2.0 greylisted"), "scheduled", null],
    ["RCPT", reply("550 5.1.1 no such user"), "permanent_failure", "invalid_address"],
    ["RCPT", reply("550 5.7.1 policy"), "permanent_failure", "blocked_by_carrier"],
    ["RCPT", "hang up", "scheduled", null],
    ["DATA", reply("421 4.3.2 closing"), "scheduled", null],
    ["DATA", "hang up", "scheduled", null],
    ["body", reply("451 4.3.0 try later"), "scheduled", null],
    ["body", reply("421 4.3.2 closing"), "scheduled", null],
    ["body", reply("554 5.7.1 spam"), "permanent_failure", "blocked_by_carrier"],
    ["body", "hang up", "unknown", null, { failures: 0 }],
  ];
  for (const [stage, fault, status, reason, { failures } = {}] of faults) {
    const what = typeof fault === "string" ? fault : (fault as { reply: string }).reply;
    test(`${stage}: "${what}" makes it ${reason ?? status}`, async () => {
      const { server, insert, deliver } = await setUp();
      server.fail(stage, fault);
      const delivery = await deliver(await insert(database.sql));
      assert.deepEqual([delivery.status, delivery.reason], [status, reason]);
      if (status === "scheduled") assert.equal(delivery.failures, 1);
      if (failures !== undefined) assert.equal(delivery.failures, failures);
    });
  }

  test("tries again later when nobody listens", async () => {
    const { insert, deliver } = await setUp({ url: "smtp://127.0.0.1:1" });
    const delivery = await deliver(await insert(database.sql));
    assert.deepEqual([delivery.status, delivery.failures], ["scheduled", 1]);
  });

  test("tries again later when the server is silent before the body, and asks when after", async () => {
    for (
      const [stage, status] of [["greeting", "scheduled"], ["RCPT", "scheduled"], [
        "body",
        "unknown",
      ]] as const
    ) {
      const { server, insert, deliver } = await setUp({ callTimeoutMs: 200 });
      server.fail(stage, "silence");
      assert.equal((await deliver(await insert(database.sql))).status, status);
    }
  });

  test("waits long for a full mailbox", async () => {
    const { server, insert, deliver } = await setUp();
    server.fail("RCPT", reply("452 4.2.2 mailbox full"));
    const { dueAt } = await deliver(await insert(database.sql));
    assert.ok((dueAt?.getTime() ?? 0) > Date.now() + 20 * MINUTE_MS);
  });

  test("keeps the delivery and pauses the sender when the account is refused", async () => {
    const { server, insert, deliver, clinicId } = await setUp();
    server.fail("AUTH", reply("535 5.7.8 bad credentials"), 5);
    const delivery = await deliver(await insert(database.sql));
    assert.deepEqual([delivery.status, delivery.failures], ["scheduled", 0]);

    const sender = await eventually("the sender is paused", async () => {
      const [row] = await database.sql`
        select pause_reason, pauses, paused_until > now() as paused
          from delivery.sender where id = ${`${clinicId}:email`}`;
      return row?.paused === true && row;
    });
    assert.deepEqual([sender.pauseReason, sender.pauses], ["config_error", 1]);
  });

  test("suppresses an address that does not exist, and no other", async () => {
    const { server, insert, deliver, clinicId } = await setUp();
    const suppressed = () =>
      database.sql<{ address: string; reason: string }[]>`
        select address, reason from delivery.suppression where clinic_id = ${clinicId}`;

    server.fail("RCPT", reply("550 5.7.1 policy"));
    await deliver(await insert(database.sql));
    server.fail("RCPT", reply("550 5.1.1 no such user"));
    const recipient = { name: "Ana", email: "Gone@example.test" };
    await deliver(await insert(database.sql, { notification: { recipient } }));

    const rows = await eventually("an address is suppressed", async () => {
      const found = await suppressed();
      return found.length > 0 && found;
    });
    assert.deepEqual([...rows], [{ address: "gone@example.test", reason: "hard_bounce" }]);
  });

  async function unclear({ unclearEmail }: Pick<Clinic, "unclearEmail">) {
    const { server, insert, deliver } = await setUp({ clinic: { unclearEmail } });
    const id = await insert(database.sql, { status: "unknown", attempt: 1, dueAt: new Date() });
    return { server, delivery: await deliver(id), id, deliver };
  }

  test("sends an unclear one again, under the same Message-ID, if the clinic says repeat", async () => {
    const { server, delivery, id, deliver } = await unclear({ unclearEmail: "repeat" });
    assert.deepEqual([delivery.status, delivery.failures], ["scheduled", 1]);
    await deliver(id);
    assert.match(server.mails[0]?.text ?? "", new RegExp(`Message-ID: <${id}@oak.example>`));
  });

  test("leaves an unclear one to a person if the clinic says hold", async () => {
    const { server, delivery } = await unclear({ unclearEmail: "hold" });
    assert.deepEqual([delivery.status, delivery.reason], [
      "technical_failure",
      "ambiguous_unresolved",
    ]);
    assert.equal(server.mails.length, 0);
  });

  test("fails what it cannot render, and what no clinic sends any more; neighbours go on", async () => {
    const { queue, insert, lines } = await setUp();
    const ids = [
      await insert(database.sql, { notification: { template: "broken" } }),
      await insert(database.sql, { notification: { clinicId: uniqueId("closed") } }),
      await insert(database.sql),
    ];
    await hint(queue, "email", ids);
    const settled = await eventually("all are settled", async () => {
      const rows = await Promise.all(ids.map((id) => readDelivery(database.sql, id)));
      return rows.every(({ attempt, leaseUntil }) => attempt > 0 && leaseUntil === null) && rows;
    });
    assert.deepEqual(settled.map(({ status, reason }) => [status, reason]), [
      ["technical_failure", "config_error"],
      ["technical_failure", "config_error"],
      ["sent", null],
    ]);
    assert.equal(lines.filter((line) => line.includes('"error"')).length > 0, true);
  });

  test("sends once however often and to however many workers it is hinted", async () => {
    const first = await setUp();
    const second = await setUp({ queue: first.queue, clinic: { id: first.clinicId } });
    const ids = await Promise.all(
      Array.from({ length: 30 }, () => first.insert(database.sql)),
    );
    await hint(first.queue, "email", [...ids, ...ids, ...ids]);
    await eventually("all are sent", async () => {
      const [row] = await database.sql<{ sent: number }[]>`
        select count(*)::int as sent from delivery.delivery
         where id = any(${ids}) and status = 'sent'`;
      return row?.sent === ids.length;
    });
    await hint(first.queue, "email", ids); // Late ones
    await first.worker.stop();
    await second.worker.stop();
    const mails = [...first.server.mails, ...second.server.mails];
    assert.equal(mails.length, ids.length);
    assert.equal(new Set(mails.map(({ text }) => /^Message-ID: (.*)$/m.exec(text)?.[1])).size, 30);
  });

  test("keeps a sender's rate, and holds nobody else up", async () => {
    const { queue, insert, clinicId } = await setUp();
    const slow = `${clinicId}:slow:email`;
    await database.sql`
      insert into delivery.sender (id, rate_per_second) values (${slow}, 0.01)`;
    const rated = [
      await insert(database.sql, { senderId: slow }),
      await insert(database.sql, { senderId: slow }),
      await insert(database.sql, { senderId: slow }),
    ];
    const free = await insert(database.sql);
    await hint(queue, "email", [...rated, free]);
    const read = () => Promise.all([...rated, free].map((id) => readDelivery(database.sql, id)));
    const settled = await eventually("two are sent", async () => {
      const deliveries = await read();
      return deliveries.filter(({ status }) => status === "sent").length === 2 && deliveries;
    });
    assert.equal(settled[3]?.status, "sent");
    const waiting = settled.filter(({ status }) => status === "scheduled");
    assert.equal(waiting.length, 2);
    for (const { attempt, dueAt } of waiting) {
      assert.equal(attempt, 0);
      assert.ok(dueAt !== null && dueAt > new Date());
    }
  });

  test("pretends in test mode: delivered, and nothing leaves", async () => {
    const { server, insert, queue } = await setUp();
    const id = await insert(database.sql, { notification: { mode: "test" } });
    await hint(queue, "email", [id]);
    const delivery = await eventually("it is delivered", async () => {
      const row = await readDelivery(database.sql, id);
      return row.status === "delivered" && row;
    });
    assert.equal(delivery.providerId, `test-${id}-1`);
    assert.deepEqual(await readHistory(database.sql, id), [
      "sending",
      "sent",
      "delivered",
      "delivered",
    ]);
    assert.equal(server.mails.length, 0);
  });

  test("lets nobody add a header or a recipient", async () => {
    const { server, insert, deliver } = await setUp();
    const recipient = {
      name: "Ana\r\nBcc: eve@example.test\r\n\r\nbody",
      email: "ana@example.test",
    };
    await deliver(await insert(database.sql, { notification: { recipient } }));
    const message = await simpleParser(server.mails[0]?.text ?? "");
    assert.equal(message.bcc, undefined);
    assert.deepEqual(server.mails[0]?.to, ["ana@example.test"]);
    assert.match(message.subject ?? "", /Ana Bcc: eve@example\.test body/);

    const twice = { name: "Ana", email: "ana@example.test>, <eve@example.test" };
    await deliver(await insert(database.sql, { notification: { recipient: twice } }));
    assert.equal(server.mails[1]?.to.length, 1);
    assert.ok(!server.mails[1]?.to.includes("eve@example.test"));
  });

  test("does not call when the process stood still until the lease was nearly over", async () => {
    const realNow = performance.now.bind(performance);
    let asleepMs = 0;
    const clock = mock.method(performance, "now", () => realNow() + asleepMs);
    const render: typeof plainTemplates.render = (input) => {
      asleepMs += 100_000;
      return plainTemplates.render(input);
    };
    const { server, queue, insert } = await setUp({ templates: { render } });
    const id = await insert(database.sql);
    await hint(queue, "email", [id]);
    const delivery = await eventually("the delivery is settled", async () => {
      const row = await readDelivery(database.sql, id);
      return row.attempt === 1 && row.leaseUntil === null && row;
    }, { timeoutMs: 200_000 }); // By the clock that has just jumped
    clock.mock.restore();
    assert.deepEqual([delivery.status, delivery.failures], ["scheduled", 0]);
    assert.equal(server.mails.length, 0);
  });

  test("records what was sent when the database was away meanwhile", {
    skip: skipWithoutPostgres(),
  }, async (t) => {
    const proxy = await createTcpProxy(t, database.url);
    const sql = connectDatabase(proxy.url, { name: "interrupted", maxConnections: 2 });
    t.after(() => sql.end({ timeout: 5 }));
    const { server, insert, queue } = await setUp({ sql });
    const release = Promise.withResolvers<void>();
    server.fail("body", release.promise);
    const id = await insert(database.sql);
    await hint(queue, "email", [id]);
    await eventually("the mail has left", () => server.mails.length === 1);

    proxy.refuse(true);
    proxy.cut();
    release.resolve();
    await eventually("the worker has tried in vain", () => proxy.refused() > 2);
    proxy.refuse(false);
    await eventually(
      "it is recorded",
      async () => (await readDelivery(database.sql, id)).status === "sent",
    );
  });

  test("finishes what it has in hand before it stops", async () => {
    const { server, insert, queue, worker } = await setUp();
    const release = Promise.withResolvers<void>();
    server.fail("body", release.promise);
    const id = await insert(database.sql);
    await hint(queue, "email", [id]);
    await eventually("the mail has left", () => server.mails.length === 1);

    const stopped = worker.stop();
    release.resolve();
    await stopped;
    assert.equal((await readDelivery(database.sql, id)).status, "sent");
  });

  test("logs neither names nor addresses nor the server's words", async () => {
    const { server, insert, deliver, lines } = await setUp();
    server.fail("RCPT", reply("550 5.1.1 <ana@example.test> is unknown here"));
    await deliver(await insert(database.sql));
    await eventually("it is logged", () => lines.length > 0);
    assert.doesNotMatch(lines.join(""), /ana|example\.test|unknown here/i);
    const [row] = await database.sql`
      select count(*)::int as told from delivery.delivery where provider_code like '%ana%'`;
    assert.equal(row?.told, 0);
  });
});
