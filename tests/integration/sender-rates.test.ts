import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  forgetPauses,
  pauseSender,
  readSenderState,
  reserveSlots,
} from "../../src/shared/database/sender-rates.ts";
import { createTestDatabase, skipWithoutPostgres } from "../support/database.ts";
import { insertDelivery, minutesFromNow, readDelivery, uniqueId } from "../support/ledger.ts";

const { sql } = await createTestDatabase();

async function insertMany(
  count: number,
  { ratePerSecond, ...fields }: Parameters<typeof insertDelivery>[1] & {
    ratePerSecond: number | null;
  },
) {
  const senderId = `${uniqueId("clinic")}:sms`;
  await sql`insert into delivery.sender (id, rate_per_second) values (${senderId}, ${ratePerSecond})`;
  const ids: string[] = [];
  for (let i = 0; i < count; i++) ids.push(await insertDelivery(sql, { ...fields, senderId }));
  return { senderId, ids };
}

const LIMITS = { slots: 100, maxWaitSeconds: 10 };

function waits(slots: readonly { waitMs: number | null }[]): number[] {
  return slots.map(({ waitMs }) => Math.round(waitMs ?? -1)).sort((a, b) => a - b);
}

/** From now to the sender's next slot. */
async function secondsBooked(senderId: string): Promise<number> {
  const [row] = await sql<{ seconds: number }[]>`
    select extract(epoch from next_slot_at - now())::float8 as seconds
      from delivery.sender where id = ${senderId}`;
  return row?.seconds ?? NaN;
}

describe("reserveSlots()", () => {
  test("spaces a sender's deliveries, the earliest due first", async () => {
    const { ids } = await insertMany(4, { ratePerSecond: 50 });
    assert.deepEqual(waits(await reserveSlots(sql, { ids, ...LIMITS })), [0, 20, 40, 60]);
  });

  test(
    "goes on where the last batch ended, whoever asked",
    { skip: skipWithoutPostgres() },
    async () => {
      const { senderId, ids } = await insertMany(10, { ratePerSecond: 2 });
      const start = minutesFromNow(1);
      await sql`update delivery.sender set next_slot_at = ${start} where id = ${senderId}`;
      await Promise.all(
        ids.map((id) => reserveSlots(sql, { ids: [id], slots: 1, maxWaitSeconds: 120 })),
      );
      const [sender] = await sql`select next_slot_at from delivery.sender where id = ${senderId}`;
      assert.equal(sender?.nextSlotAt.getTime(), start.getTime() + 5_000);
    },
  );

  test("leaves out those whose sender has no rate", async () => {
    const { ids } = await insertMany(2, { ratePerSecond: null });
    assert.deepEqual([...await reserveSlots(sql, { ids, ...LIMITS })], []);
  });

  test("gives no slot to what is not due, held by somebody or over", async () => {
    const { ids: [later = ""] } = await insertMany(1, {
      ratePerSecond: 1,
      dueAt: minutesFromNow(5),
    });
    const { ids: [sending = ""] } = await insertMany(1, { ratePerSecond: 1, status: "sending" });
    const { ids: [sent = ""] } = await insertMany(1, { ratePerSecond: 1, status: "sent" });
    const slots = await reserveSlots(sql, { ids: [later, sending, sent], ...LIMITS });
    assert.equal(slots.length, 0);
  });

  test("puts back what would wait too long, and takes no time for it", async () => {
    const { ids, senderId } = await insertMany(5, { ratePerSecond: 1, status: "queued" });
    const slots = await reserveSlots(sql, { ids, slots: 100, maxWaitSeconds: 1.5 });
    assert.deepEqual(waits(slots), [-1, -1, -1, 0, 1000]);

    for (const { id } of slots.filter(({ waitMs }) => waitMs === null)) {
      const { status, dueAt, wakeAt } = await readDelivery(sql, id);
      assert.equal(status, "scheduled");
      assert.ok(dueAt !== null && dueAt.getTime() > Date.now() + 1_000);
      assert.ok(dueAt.getTime() < Date.now() + 8_000, "within the time the backlog takes");
      assert.deepEqual(wakeAt, dueAt);
    }
    assert.ok(await secondsBooked(senderId) <= 2);
  });

  test("gives no more slots than there are hands to wait", async () => {
    const { ids } = await insertMany(4, { ratePerSecond: 50 });
    const slots = await reserveSlots(sql, { ids, slots: 2, maxWaitSeconds: 10 });
    assert.deepEqual(waits(slots), [-1, -1, 0, 20]);
  });

  test("saves no time up: a sender that was idle starts anew", async () => {
    const { ids, senderId } = await insertMany(3, { ratePerSecond: 10 });
    await sql`
      update delivery.sender set next_slot_at = now() - interval '1 hour' where id = ${senderId}`;
    assert.deepEqual(waits(await reserveSlots(sql, { ids, ...LIMITS })), [0, 100, 200]);
  });
});

describe("pauseSender()", () => {
  const read = async (id: string) => {
    const [row] = await sql<{ pauses: number; seconds: number }[]>`
      select pauses, round(extract(epoch from paused_until - now()))::int as seconds
        from delivery.sender where id = ${id}`;
    return row;
  };
  const endPause = (id: string, minutesAgo: number) =>
    sql`update delivery.sender set paused_until = ${minutesFromNow(-minutesAgo)} where id = ${id}`;

  test("doubles from half a minute to a quarter of an hour, once for each pause", async () => {
    const { senderId } = await insertMany(0, { ratePerSecond: null });
    const pauses: (number | undefined)[] = [];
    for (let i = 0; i < 7; i++) {
      await pauseSender(sql, { senderId, reason: "config_error" });
      await pauseSender(sql, { senderId, reason: "config_error" }); // Another delivery of the same moment
      pauses.push((await read(senderId))?.seconds);
      await endPause(senderId, 0);
    }
    assert.deepEqual(pauses, [30, 60, 120, 240, 480, 900, 900]);
    assert.equal((await read(senderId))?.pauses, 7);
  });

  test("is forgotten after a success, unless it was a moment ago", async () => {
    const { senderId } = await insertMany(0, { ratePerSecond: null });
    const convalescent = async () =>
      (await readSenderState(sql, "sms")).convalescent.includes(senderId);
    await pauseSender(sql, { senderId, reason: "account_suspended" });
    await endPause(senderId, 1);
    await forgetPauses(sql, senderId);
    assert.deepEqual([(await read(senderId))?.pauses, await convalescent()], [1, false]);

    await endPause(senderId, 11);
    assert.equal(await convalescent(), true);
    await forgetPauses(sql, senderId);
    assert.deepEqual([(await read(senderId))?.pauses, await convalescent()], [0, false]);
  });
});

describe("readSenderState()", () => {
  test("tells whether any sender of the channel has a rate", async () => {
    assert.equal((await readSenderState(sql, "email")).rated, false);
    await sql`insert into delivery.sender (id, rate_per_second) values ('oak:email', 5)`;
    assert.equal((await readSenderState(sql, "email")).rated, true);
  });
});
