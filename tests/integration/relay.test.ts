import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createInstruments } from "../../src/notification-dispatcher/instruments.ts";
import { createHintPublisher } from "../../src/notification-dispatcher/publish-hints.ts";
import { READY_MAX } from "../../src/notification-dispatcher/queue-room.ts";
import { relayOnce, startRelay } from "../../src/notification-dispatcher/relay.ts";
import { oldestDueSeconds } from "../../src/shared/database/notification-states.ts";
import { createLog } from "../../src/shared/runtime/log.ts";
import { createTestDatabase } from "../support/database.ts";
import { createFakeQueue } from "../support/dispatcher.ts";
import { eventually } from "../support/eventually.ts";
import { insertDelivery, minutesFromNow, readDelivery, uniqueId } from "../support/ledger.ts";

const { sql } = await createTestDatabase();
const instruments = createInstruments();

function createRelay() {
  const queue = createFakeQueue();
  const lines: string[] = [];
  const log = createLog("test", { level: "debug", write: (line) => void lines.push(line) });
  return { sql, queue, instruments, log, lines };
}

/** How often each delivery was hinted. */
function countHints(relay: ReturnType<typeof createRelay>, id: string): number {
  return relay.queue.hints.filter(({ deliveryId }) => deliveryId === id).length;
}

describe("relayOnce()", () => {
  test("hints what is due, once, and nothing else", async () => {
    const relay = createRelay();
    const due = await insertDelivery(sql, { channel: "email" });
    const later = await insertDelivery(sql, { dueAt: minutesFromNow(5) });
    await relayOnce(relay);
    await relayOnce(relay);
    assert.equal(countHints(relay, due), 1);
    assert.equal(countHints(relay, later), 0);
    assert.equal((await readDelivery(sql, due)).status, "queued");
    const hint = relay.queue.hints.find(({ deliveryId }) => deliveryId === due);
    assert.equal(hint?.channel, "email");
  });

  test("goes on while there are full batches", async () => {
    const relay = createRelay();
    const senderId = `${uniqueId("clinic")}:sms`;
    const first = await insertDelivery(sql, { senderId });
    await sql`
      with many as (
        insert into delivery.notification
        select (jsonb_populate_record(n, jsonb_build_object('id', gen_random_uuid(), 'reference', k))).*
          from delivery.notification n, generate_series(1, 450) k
         where n.id = (select notification_id from delivery.delivery where id = ${first})
        returning id
      )
      insert into delivery.delivery (id, notification_id, channel, sender_id, due_at, expires_at, wake_at)
      select gen_random_uuid(), id, 'sms', ${senderId}, now(), now() + interval '1 hour', now() from many`;
    await relayOnce(relay);
    const rows = await sql<{ id: string }[]>`
      select id from delivery.delivery where sender_id = ${senderId}`;
    assert.equal(rows.length, 451);
    for (const { id } of rows) assert.equal(countHints(relay, id), 1);
  });

  test("keeps the queue short: what there is no room for waits in the ledger", async () => {
    const { sql } = await createTestDatabase();
    const relay = { ...createRelay(), sql };
    for (let index = 0; index < 5; index += 1) await insertDelivery(sql, { senderId: "many:sms" });
    relay.queue.ready = async () => READY_MAX - 3 + relay.queue.hints.length;
    assert.deepEqual(await relayOnce(relay), { more: true });
    assert.equal(relay.queue.hints.length, 3);

    relay.queue.ready = async () => 0;
    assert.deepEqual(await relayOnce(relay), { more: false });
    assert.equal(relay.queue.hints.length, 5);
  });

  test("gives back what the queue does not take, and tries again", async () => {
    const relay = createRelay();
    const id = await insertDelivery(sql);
    relay.queue.refuses = true;
    await relayOnce(relay);
    const { status, wakeAt } = await readDelivery(sql, id);
    assert.equal(status, "scheduled");
    assert.ok(wakeAt !== null && wakeAt > new Date());

    relay.queue.refuses = false;
    await sql`update delivery.delivery set wake_at = now() where id = ${id}`;
    await relayOnce(relay);
    assert.equal(countHints(relay, id), 1);
  });

  test("claims nothing while the queue is away", async () => {
    const relay = createRelay();
    const id = await insertDelivery(sql);
    relay.queue.check = () => Promise.reject(new Error("away"));
    await assert.rejects(relayOnce(relay), /away/);
    assert.equal((await readDelivery(sql, id)).hints, 0);
  });

  test("hints again what was lost, whatever waits in the queue", async () => {
    const { sql } = await createTestDatabase();
    const relay = { ...createRelay(), sql };
    const hintedAgo = (minutes: number) =>
      insertDelivery(sql, {
        status: "queued",
        hints: 1,
        hintedAt: minutesFromNow(-minutes),
        wakeAt: minutesFromNow(2),
      });
    const [lost, waits] = [await hintedAgo(3), await hintedAgo(2)];
    relay.queue.ready = async () => 1;
    await relayOnce(relay);
    assert.deepEqual([countHints(relay, lost), countHints(relay, waits)], [1, 0]);
    relay.queue.ready = async () => null;
    await relayOnce(relay);
    assert.equal(countHints(relay, waits), 0, "nobody knows what waits");
  });

  test("goes on with a channel while the other's queue is away", async () => {
    const relay = createRelay();
    const [email, text] = [
      await insertDelivery(sql, { channel: "email" }),
      await insertDelivery(sql, { channel: "sms" }),
    ];
    relay.queue.check = async (channel) => {
      if (channel === "email") throw new Error("away");
    };
    await assert.rejects(relayOnce(relay), /away/);
    assert.equal(countHints(relay, text), 1);
    assert.equal((await readDelivery(sql, email)).hints, 0);
  });

  test("hints for the enquiry what a worker has left behind", async () => {
    const relay = createRelay();
    const id = await insertDelivery(sql, {
      status: "sending",
      attempt: 1,
      leaseUntil: minutesFromNow(-1),
      wakeAt: minutesFromNow(-1),
    });
    await relayOnce(relay);
    assert.equal((await readDelivery(sql, id)).status, "unknown");
    assert.equal(countHints(relay, id), 1);
  });

  test("gives each delivery to one of two relays that run at once", async () => {
    const [one, other] = [createRelay(), createRelay()];
    const ids = await Promise.all(Array.from({ length: 40 }, () => insertDelivery(sql)));
    await Promise.all([relayOnce(one), relayOnce(other)]);
    for (const id of ids) assert.equal(countHints(one, id) + countHints(other, id), 1);
  });
});

describe("startRelay()", () => {
  test("looks at once when something is left to it", async () => {
    const relay = createRelay();
    const looks = { count: 0 };
    relay.queue.check = async () => void (looks.count += 1);
    const { wake, stop } = startRelay(relay);
    await eventually("it has looked", () => looks.count > 0);
    const id = await insertDelivery(sql);
    wake();
    await eventually("the delivery is hinted", () => countHints(relay, id) === 1);
    await stop();
  });

  test("outlives trouble, tells of it once, and of its end", async () => {
    const relay = createRelay();
    let checks = 0;
    relay.queue.check = async () => {
      checks += 1;
      if (checks <= 2) throw new Error("away");
    };
    const id = await insertDelivery(sql);
    const { stop } = startRelay(relay);
    await eventually("the delivery is hinted", () => countHints(relay, id) === 1);
    await stop();
    const messages = relay.lines.map((line) => JSON.parse(line).message);
    assert.equal(messages.filter((message) => message === "the relay waits").length, 1);
    assert.ok(checks > 2);
  });
});

describe("oldestDueSeconds()", () => {
  test("counts from the one that waits longest, and no paused sender's", async () => {
    const { sql } = await createTestDatabase();
    assert.equal(await oldestDueSeconds(sql), 0);
    await insertDelivery(sql, { wakeAt: minutesFromNow(-2) });
    await insertDelivery(sql, { wakeAt: minutesFromNow(-1) });
    const paused = uniqueId("sender");
    await insertDelivery(sql, { senderId: paused, wakeAt: minutesFromNow(-60) });
    await sql`
      update delivery.sender set paused_until = now() + interval '1 hour', pause_reason = 'config_error'
       where id = ${paused}`;
    const seconds = await oldestDueSeconds(sql);
    assert.ok(seconds >= 120 && seconds < 600, String(seconds));
  });
});

describe("createHintPublisher()", () => {
  test("gives back what the queue has not taken", async () => {
    const relay = createRelay();
    const queued = { status: "queued", hints: 1, hintedAt: new Date() } as const;
    const ids = await Promise.all([insertDelivery(sql, queued), insertDelivery(sql, queued)]);
    const [taken = "", refused = ""] = ids;
    relay.queue.publish = async (hints) => hints.filter(({ deliveryId }) => deliveryId === refused);
    const publisher = createHintPublisher(relay);
    publisher.offer(ids.map((deliveryId) => ({ deliveryId, channel: "sms" })));
    await publisher.idle();
    assert.equal((await readDelivery(sql, taken)).status, "queued");
    assert.equal((await readDelivery(sql, refused)).status, "scheduled");
  });

  test("gives up what waits when the queue does not take what goes before it", async () => {
    const relay = createRelay();
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    let published = 0;
    relay.queue.publish = async (hints) => {
      published += hints.length;
      await released;
      return [...hints];
    };
    const publisher = createHintPublisher(relay);
    const hints = Array.from({ length: 5_000 }, () => ({
      deliveryId: "00000000-0000-7000-8000-000000000000",
      channel: "sms" as const,
    }));
    publisher.offer(hints);
    publisher.offer(hints);
    release();
    await publisher.idle();
    assert.ok(published <= 400, String(published));
  });

  test("wakes the relay for what was left to it", () => {
    let woken = 0;
    const publisher = createHintPublisher({ ...createRelay(), wakeRelay: () => woken += 1 });
    publisher.leave(0);
    assert.equal(woken, 0);
    publisher.leave(3);
    assert.equal(woken, 1);
  });

  test("survives a database that is away", async () => {
    const relay = createRelay();
    const away = Object.assign(() => Promise.reject(new Error("away")), sql);
    relay.queue.refuses = true;
    const publisher = createHintPublisher({ ...relay, sql: away as unknown as typeof sql });
    publisher.offer([{ deliveryId: uniqueId("x"), channel: "sms" }]);
    await publisher.idle();
    assert.match(relay.lines.join(), /left to the relay/);
  });
});
