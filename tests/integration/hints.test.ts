import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { claimDueHints, rehintLost, unmarkHinted } from "../../src/shared/database/hints.ts";
import { CHANNELS } from "../../src/shared/domain/delivery.ts";
import { leaseDeliveries } from "../../src/shared/database/leases.ts";
import { createTestDatabase, skipWithoutPostgres } from "../support/database.ts";
import {
  type DeliveryRow,
  insertDelivery,
  insertNotification,
  minutesFromNow,
  readDelivery,
  uniqueId,
} from "../support/ledger.ts";

const { sql } = await createTestDatabase();

const PLENTY = { limit: 1_000, perSender: 100 };

/** Which of `ids` a relay hints now. Deliveries of other tests are of other senders. */
async function claim(
  ids: readonly string[],
  limits: Partial<typeof PLENTY> = {},
): Promise<string[]> {
  const claimed: string[] = [];
  for (const channel of CHANNELS) {
    const due = await claimDueHints(sql, { channel, ...PLENTY, ...limits });
    claimed.push(...due.map(({ id }) => id).filter((id) => ids.includes(id)));
  }
  return claimed;
}

function uniqueSender(): string {
  return `${uniqueId("clinic")}:sms`;
}

async function insertOfSender(senderId: string, count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let index = 0; index < count; index++) {
    const wakeAt = minutesFromNow(-index - 1); // The last has waited longest
    ids.push(await insertDelivery(sql, { senderId, dueAt: wakeAt, wakeAt }));
  }
  return ids;
}

function secondsBetween(from: Date | null, until: Date | null): number {
  return ((until?.getTime() ?? NaN) - (from?.getTime() ?? NaN)) / 1000;
}

describe("claimDueHints()", () => {
  test("queues what is due and says by which channel it goes", async () => {
    const id = await insertDelivery(sql, { channel: "email" });
    const claimed = await claimDueHints(sql, { channel: "email", ...PLENTY });
    assert.deepEqual(claimed.find((due) => due.id === id), { id, channel: "email" });
    const { status, hints, hintedAt, wakeAt } = await readDelivery(sql, id);
    assert.deepEqual([status, hints, secondsBetween(hintedAt, wakeAt)], ["queued", 1, 60]);
    assert.deepEqual(await claim([id]), []);
  });

  test("leaves alone what is to be looked at later", async () => {
    const later = minutesFromNow(1);
    const id = await insertDelivery(sql, { dueAt: later, wakeAt: later });
    assert.deepEqual(await claim([id]), []);
    assert.equal((await readDelivery(sql, id)).status, "scheduled");
  });

  const PATIENCE: [number, number][] = [[0, 60], [1, 120], [2, 240], [6, 3840], [20, 3840]];
  for (const [hints, seconds] of PATIENCE) {
    test(`waits ${seconds} s after ${hints} hints in vain`, async () => {
      const status = hints === 0 ? "scheduled" : "queued";
      const notification = { expiresAt: minutesFromNow(24 * 60) };
      const id = await insertDelivery(sql, { status, hints, notification });
      assert.deepEqual(await claim([id]), [id]);
      const { hintedAt, wakeAt } = await readDelivery(sql, id);
      assert.equal(secondsBetween(hintedAt, wakeAt), seconds);
    });
  }

  test("takes an attempt whose lease has ended for unclear, so that it is asked about", async () => {
    const id = await insertDelivery(sql, {
      status: "sending",
      attempt: 1,
      leaseUntil: minutesFromNow(-1),
      dueAt: minutesFromNow(-5),
      wakeAt: minutesFromNow(-1),
      notification: { expiresAt: minutesFromNow(-2) }, // Its time is over, and still it may have left
    });
    assert.deepEqual(await claim([id]), [id]);
    const { status, reason, leaseUntil } = await readDelivery(sql, id);
    assert.deepEqual([status, reason, leaseUntil], ["unknown", null, null]);

    const [leased] = await leaseDeliveries(sql, { ids: [id], leaseSeconds: 60 });
    assert.deepEqual([leased?.task, leased?.attempt], ["reconcile", 1]);
  });

  for (const status of ["sending", "unknown"] as const) {
    test(`gives up what was ${status} when the fifth worker died of it`, async () => {
      const fields = { status, attempt: 1, leaseUntil: minutesFromNow(-1) } as const;
      const id = await insertDelivery(sql, fields);
      await sql`update delivery.delivery set lost_leases = 3 where id = ${id}`;
      assert.deepEqual(await claim([id]), [id]);
      const ended = { leaseUntil: minutesFromNow(-1), wakeAt: minutesFromNow(-1) };
      await sql`update delivery.delivery set ${sql(ended)} where id = ${id}`;
      assert.deepEqual(await claim([id]), []);
      const row = await readDelivery(sql, id);
      assert.deepEqual([row.status, row.reason, row.wakeAt, row.leaseUntil], [
        "technical_failure",
        "ambiguous_unresolved",
        null,
        null,
      ]);
    });
  }

  test("hints a few of a sender in trouble at a time", async () => {
    const notification = { clinicId: uniqueId("clinic") };
    const ids = await Promise.all(
      Array.from({ length: 20 }, () => insertDelivery(sql, { notification })),
    );
    await sql`
      update delivery.sender set in_trouble = true, paused_until = now(), pause_reason = 'config_error'
       where id = ${`${notification.clinicId}:sms`}`;
    assert.equal((await claim(ids)).length, 5);
  });

  test("hints an unclear attempt again until its fate is known", async () => {
    const id = await insertDelivery(sql, {
      status: "unknown",
      attempt: 1,
      leaseUntil: minutesFromNow(-1),
      notification: { expiresAt: minutesFromNow(-2) },
    });
    assert.deepEqual(await claim([id]), [id]);
    const { status, leaseUntil } = await readDelivery(sql, id);
    assert.deepEqual([status, leaseUntil], ["unknown", null]);
  });

  for (const status of ["scheduled", "queued"] as const) {
    test(`ends a ${status} delivery whose time is over`, async () => {
      const notification = { expiresAt: minutesFromNow(-1) };
      const id = await insertDelivery(sql, { status, notification });
      assert.deepEqual(await claim([id]), []);
      const row = await readDelivery(sql, id);
      assert.deepEqual([row.status, row.reason, row.wakeAt], ["expired", "too_late", null]);
    });
  }

  test("ends a delivery that waited for another in vain", async () => {
    const notification = await insertNotification(sql, { expiresAt: minutesFromNow(-1) });
    const first = await insertDelivery(sql, { notificationId: notification.id, status: "sent" });
    const waiting = await insertDelivery(sql, {
      notificationId: notification.id,
      channel: "email",
      after: first,
    });
    assert.deepEqual(await claim([waiting]), []);
    const { status, reason } = await readDelivery(sql, waiting);
    assert.deepEqual([status, reason], ["expired", "too_late"]);
  });

  test("lets a sender with few messages not wait for one with many", async () => {
    const many = await insertOfSender(uniqueSender(), 12);
    const few = await insertOfSender(uniqueSender(), 2);
    const claimed = await claim([...many, ...few], { perSender: 5 });
    assert.deepEqual(claimed.sort(), [...many.slice(-5), ...few].sort());
  });

  test("shares out what room there is, one of each sender at a time", async () => {
    const { sql } = await createTestDatabase();
    const insert = (senderId: string, minutes: number) =>
      insertDelivery(sql, { senderId, wakeAt: minutesFromNow(-minutes) });
    const many = [await insert("many:sms", 9), await insert("many:sms", 8)];
    await insert("many:sms", 7);
    const few = await insert("few:sms", 1);
    const claimed = await claimDueHints(sql, { channel: "sms", limit: 3, perSender: 100 });
    assert.deepEqual(claimed.map(({ id }) => id).sort(), [...many, few].sort());
  });

  test("leaves the other channel alone", async () => {
    const id = await insertDelivery(sql, { channel: "email" });
    const claimed = await claimDueHints(sql, { channel: "sms", ...PLENTY });
    assert.ok(!claimed.some((due) => due.id === id));
    assert.deepEqual(await claim([id]), [id]);
  });

  test("holds back a paused sender's messages, but for those whose time is over", async () => {
    const senderId = uniqueSender();
    const due = await insertDelivery(sql, { senderId });
    const over = await insertDelivery(sql, {
      senderId,
      notification: { expiresAt: minutesFromNow(-1) },
    });
    const pause = { pausedUntil: minutesFromNow(5), pauseReason: "config_error" };
    await sql`update delivery.sender set ${sql(pause)} where id = ${senderId}`;
    assert.deepEqual(await claim([due, over]), []);
    const rows = [await readDelivery(sql, due), await readDelivery(sql, over)];
    assert.deepEqual(rows.map(({ status }) => status), ["scheduled", "expired"]);
  });

  describe("by several relays", { skip: skipWithoutPostgres() }, () => {
    test("does not wait for what another is taking", async () => {
      const taken = await insertDelivery(sql);
      await sql.begin(async (tx) => {
        await claimDueHints(tx, { channel: "sms", ...PLENTY });
        const free = await insertDelivery(sql);
        assert.deepEqual(await claim([taken, free]), [free]);
      });
    });

    test("hands each out once", async () => {
      const ids = await insertOfSender(uniqueSender(), 40);
      const claimed = await Promise.all(Array.from({ length: 8 }, () => claim(ids)));
      assert.deepEqual(claimed.flat().sort(), ids.sort());
    });
  });
});

describe("unmarkHinted()", () => {
  test("gives back what the queue did not take, to be tried after a pause", async () => {
    const id = await insertDelivery(sql, { status: "queued", hints: 1 });
    await unmarkHinted(sql, { ids: [id], pauseSeconds: 600 });
    const { status, wakeAt, hints } = await readDelivery(sql, id);
    assert.equal(status, "scheduled");
    assert.ok((wakeAt?.getTime() ?? 0) > Date.now(), "it is looked at later");
    assert.equal(hints, 0, "what was not given does not count");
  });

  test("keeps an unclear attempt unclear", async () => {
    const id = await insertDelivery(sql, { status: "unknown", attempt: 1 });
    await unmarkHinted(sql, { ids: [id], pauseSeconds: 600 });
    const { status, wakeAt } = await readDelivery(sql, id);
    assert.equal(status, "unknown");
    assert.ok((wakeAt?.getTime() ?? 0) > Date.now(), "it is looked at later");
  });

  test("leaves alone what a worker has taken all the same", async () => {
    const leaseUntil = minutesFromNow(1);
    const id = await insertDelivery(sql, { status: "unknown", attempt: 1, leaseUntil });
    const before = await readDelivery(sql, id);
    await unmarkHinted(sql, { ids: [id], pauseSeconds: 600 });
    assert.deepEqual(await readDelivery(sql, id), before);
  });
});

describe("rehintLost()", () => {
  /** A delivery hinted so many seconds ago, that the relay would look at in an hour. */
  async function insertHinted(secondsAgo: number, fields: Partial<DeliveryRow> = {}) {
    return await insertDelivery(sql, {
      status: "queued",
      hints: 1,
      hintedAt: minutesFromNow(-secondsAgo / 60),
      wakeAt: minutesFromNow(60),
      ...fields,
    });
  }

  async function rehint(): Promise<number> {
    return await rehintLost(sql, { channel: "sms", limit: 1000 });
  }

  test("wakes the relay for what was hinted a while ago, once", async () => {
    const id = await insertHinted(20);
    assert.equal(await rehint(), 1);
    assert.equal(await rehint(), 0);
    assert.deepEqual(await claim([id]), [id]);
  });

  test("leaves alone a fresh hint, another channel's, and one that is being sent", async () => {
    const fresh = await insertHinted(5);
    const email = await insertHinted(20, { channel: "email" });
    const sending = await insertHinted(20, { status: "sending", attempt: 1 });
    assert.equal(await rehint(), 0);
    assert.deepEqual(await claim([fresh, email, sending]), []);
  });

  test("waits twice as long after each hint in vain", async () => {
    const early = await insertHinted(50, { hints: 3 });
    const late = await insertHinted(70, { hints: 3 });
    assert.equal(await rehint(), 1);
    assert.deepEqual(await claim([early, late]), [late]);
  });

  test("takes the oldest first, and no more than it is asked for", async () => {
    const newer = await insertHinted(30);
    const older = await insertHinted(40);
    assert.equal(await rehintLost(sql, { channel: "sms", limit: 1 }), 1);
    assert.deepEqual(await claim([newer, older]), [older]);
    assert.equal(await rehint(), 1);
  });

  test("takes what was hinted last for what still waits in the queue", async () => {
    const { sql } = await createTestDatabase();
    const insert = (minutesAgo: number) =>
      insertDelivery(sql, {
        status: "queued",
        hints: 1,
        hintedAt: minutesFromNow(-minutesAgo),
        wakeAt: minutesFromNow(60),
      });
    const [lost] = [await insert(3), await insert(2), await insert(1)];
    const channel = "sms";
    assert.equal(await rehintLost(sql, { channel, waiting: 3, limit: 1000 }), 0);
    assert.equal(await rehintLost(sql, { channel, waiting: 2, limit: 1000 }), 1);
    const rows = await sql`select id from delivery.delivery where wake_at <= now()`;
    assert.deepEqual(rows.map(({ id }) => id), [lost]);
  });
});
