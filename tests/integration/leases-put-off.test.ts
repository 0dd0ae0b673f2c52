import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { endTrouble, pauseSender, tryNext } from "../../src/shared/database/sender-rates.ts";
import { createTestDatabase, skipWithoutPostgres } from "../support/database.ts";
import { createLeaseChecks } from "../support/lease-checks.ts";
import {
  type DeliveryRow,
  insertDelivery,
  minutesFromNow,
  readDelivery,
  uniqueId,
} from "../support/ledger.ts";
import { zoneWhereItIs } from "../support/wall-clock.ts";

const { sql } = await createTestDatabase();
const { lease, assertLeased, assertEnded, assertLeftAlone } = createLeaseChecks(sql);

describe("leaseDeliveries() with data of a certain age", () => {
  const fromImport = { maxDataAge: "1 hour" };

  beforeEach(async () => {
    await sql`delete from clinic.sync_cursor`;
  });

  async function importSucceeded(minutesAgo: number): Promise<void> {
    const row = { resource: "Appointment", succeededAt: minutesFromNow(-minutesAgo) };
    await sql`insert into clinic.sync_cursor ${sql(row)}`;
  }

  async function assertHeldBack(id: string): Promise<void> {
    assert.deepEqual(await lease(id), []);
    const { status, reason, dueAt, wakeAt } = await readDelivery(sql, id);
    assert.deepEqual([status, reason, wakeAt], ["scheduled", null, dueAt]);
    assert.ok((dueAt?.getTime() ?? 0) > Date.now(), "it is due later");
    await assertLeftAlone(id);
  }

  test("sends while the last import is recent", async () => {
    await importSucceeded(30);
    await assertLeased(await insertDelivery(sql, { notification: fromImport }));
  });

  test("holds a message back while the last import is too old", async () => {
    await importSucceeded(61);
    await assertHeldBack(await insertDelivery(sql, { notification: fromImport }));
  });

  test("holds a message back while no import has ever succeeded", async () => {
    await assertHeldBack(await insertDelivery(sql, { notification: fromImport }));
  });

  test("sends what does not come from an import", async () => {
    await assertLeased(await insertDelivery(sql, { notification: { maxDataAge: null } }));
  });

  test("wakes the relay for what expires while it is held back", async () => {
    const expiresAt = minutesFromNow(1);
    const id = await insertDelivery(sql, { notification: { ...fromImport, expiresAt } });
    assert.deepEqual(await lease(id), []);
    assert.deepEqual((await readDelivery(sql, id)).wakeAt, expiresAt);
  });
});

describe("leaseDeliveries() from a paused sender", () => {
  async function pause(id: string, until: Date): Promise<void> {
    await sql`
      update delivery.sender set paused_until = ${until}, pause_reason = 'config_error'
       where id = (select sender_id from delivery.delivery where id = ${id})`;
  }

  test("puts a delivery off until the pause is over", async () => {
    const id = await insertDelivery(sql, { status: "queued", hints: 1 });
    const until = minutesFromNow(10);
    await pause(id, until);
    assert.deepEqual(await lease(id), []);
    const { status, dueAt, wakeAt } = await readDelivery(sql, id);
    assert.deepEqual([status, dueAt, wakeAt], ["scheduled", until, until]);
  });

  test("wakes the relay for what expires before the pause is over", async () => {
    const expiresAt = minutesFromNow(5);
    const id = await insertDelivery(sql, { notification: { expiresAt } });
    await pause(id, minutesFromNow(10));
    assert.deepEqual(await lease(id), []);
    assert.deepEqual((await readDelivery(sql, id)).wakeAt, expiresAt);
  });

  test("sends once the pause is over", async () => {
    const id = await insertDelivery(sql);
    await pause(id, minutesFromNow(-1));
    await assertLeased(id);
  });
});

describe("leaseDeliveries() from a sender in trouble", () => {
  /** Deliveries of one sender whose first pause is over. */
  async function insertTroubled(...rows: Partial<DeliveryRow>[]) {
    const notification = { clinicId: uniqueId("clinic") };
    const senderId = `${notification.clinicId}:sms`;
    const ids: string[] = [];
    for (const row of rows) ids.push(await insertDelivery(sql, { notification, ...row }));
    await pauseSender(sql, { senderId, reason: "config_error" });
    await sql`update delivery.sender set paused_until = now() where id = ${senderId}`;
    return { senderId, ids };
  }
  const unknown = { status: "unknown", attempt: 1, attemptedAt: new Date() } as const;

  test("lets one delivery try, and has the others wait for it", async () => {
    const { ids } = await insertTroubled({}, {}, { status: "queued" });
    const leased = await lease(...ids);
    assert.deepEqual(leased.map(({ task, probe }) => [task, probe]), [["send", true]]);
    for (const id of ids.filter((each) => each !== leased[0]?.id)) {
      const { status, attempt, dueAt } = await readDelivery(sql, id);
      assert.deepEqual([status, attempt], ["scheduled", 0]);
      assert.ok(dueAt !== null && dueAt > new Date(), "it comes again");
    }
    await sql`update delivery.delivery set due_at = now() where id = any(${ids})`;
    assert.deepEqual(await lease(...ids), [], "nor does any other while it tries");
  });

  test("lets one try when many workers ask at once", { skip: skipWithoutPostgres() }, async () => {
    const { ids } = await insertTroubled(...Array.from({ length: 20 }, () => ({})));
    const answers = await Promise.all(ids.map((id) => lease(id)));
    assert.equal(answers.flat().length, 1);
  });

  test("keeps what is unclear unclear, and asks about one at a time when there is nothing to send", async () => {
    const { senderId, ids } = await insertTroubled(unknown, unknown, {});
    assert.deepEqual((await lease(...ids)).map(({ id }) => id), [ids[2]]);
    await tryNext(sql, { senderId, afterSeconds: 0 });
    await sql`update delivery.delivery set due_at = now() where id = any(${ids})`;
    const asked = await lease(...ids);
    assert.deepEqual(asked.map(({ task, probe }) => [task, probe]), [["reconcile", true]]);
    for (const id of ids.slice(0, 2)) {
      assert.equal((await readDelivery(sql, id)).status, "unknown");
    }
  });

  test("lets all go when it has worked", async () => {
    const { senderId, ids } = await insertTroubled({}, {}, {});
    await lease(...ids);
    await endTrouble(sql, senderId);
    await sql`update delivery.delivery set due_at = now() where id = any(${ids})`;
    const leased = await lease(...ids);
    assert.deepEqual(leased.map(({ probe }) => probe), [false, false]);
  });

  test("is paused for longer when the one that tried fails, and not by those from before", async () => {
    const { senderId, ids } = await insertTroubled({}, {});
    await lease(...ids);
    const pauses = async () => {
      const [row] = await sql`select pauses from delivery.sender where id = ${senderId}`;
      return row?.pauses;
    };
    await pauseSender(sql, { senderId, reason: "config_error" });
    assert.equal(await pauses(), 1);
    await pauseSender(sql, { senderId, reason: "config_error", probe: true });
    assert.equal(await pauses(), 2);
  });
});

describe("leaseDeliveries() in quiet hours", () => {
  async function insertAt(
    timeZone: string,
    [quietFrom, quietUntil]: [string, string],
    expiresAt = minutesFromNow(48 * 60),
  ): Promise<string> {
    return await insertDelivery(sql, {
      notification: { timeZone, quietFrom, quietUntil, expiresAt },
    });
  }

  const NIGHT: [string, string] = ["21:00", "08:00"];
  const NOON: [string, string] = ["12:00", "14:00"];

  const QUIET: [string, [string, string], string][] = [
    ["23:30", NIGHT, "08:00:00"],
    ["03:00", NIGHT, "08:00:00"],
    ["13:00", NOON, "14:00:00"],
  ];
  for (const [time, window, opening] of QUIET) {
    test(`puts a delivery of ${time} off to the end of ${window.join(" to ")}`, async () => {
      const id = await insertAt(await zoneWhereItIs(sql, time), window);
      assert.equal(await deferredTo(id), opening);
      await assertLeftAlone(id);
    });
  }

  const LOUD: [string, [string, string]][] = [
    ["20:50", NIGHT],
    ["08:10", NIGHT],
    ["11:50", NOON],
    ["14:10", NOON],
  ];
  for (const [time, window] of LOUD) {
    test(`sends at ${time}, outside ${window.join(" to ")}`, async () => {
      await assertLeased(await insertAt(await zoneWhereItIs(sql, time), window));
    });
  }

  test("ends a delivery that would be of no use when they are over", async () => {
    const zone = await zoneWhereItIs(sql, "23:30");
    const id = await insertAt(zone, NIGHT, minutesFromNow(8 * 60));
    await assertEnded(id, "suppressed", "quiet_hours");
  });

  const NIGHTS_OF_CHANGE: ["begins" | "ends", number][] = [["begins", 7.5], ["ends", 9.5]];
  for (const [change, hours] of NIGHTS_OF_CHANGE) {
    test(`keeps to the wall clock in a night in which summer time ${change}`, async () => {
      const id = await insertAt(
        await zoneWhereItIs(sql, "23:30", { summerTimeTonight: change }),
        NIGHT,
      );
      assert.equal(await deferredTo(id), "08:00:00");
      const { dueAt } = await readDelivery(sql, id);
      const waited = ((dueAt?.getTime() ?? 0) - Date.now()) / 3_600_000;
      assert.equal(Math.round(waited * 4) / 4, hours);
    });
  }

  const OF_THE_PATIENT: [string, string][] = [["12:00", "13:00:00"], ["23:30", "sent"]];
  for (const [time, expected] of OF_THE_PATIENT) {
    test(`go by the patient's wish of 11:00 to 13:00 before the clinic's night: at ${time} ${expected}`, async () => {
      const whose = { clinicId: uniqueId("clinic"), patientId: uniqueId("patient") };
      const wish = { ...whose, quietFrom: "11:00", quietUntil: "13:00", source: "test" };
      await sql`insert into clinic.preference ${sql(wish)}`;
      const timeZone = await zoneWhereItIs(sql, time);
      const [quietFrom, quietUntil] = NIGHT;
      const expiresAt = minutesFromNow(48 * 60);
      const notification = { ...whose, timeZone, quietFrom, quietUntil, expiresAt };
      const id = await insertDelivery(sql, { notification });
      if (expected === "sent") await assertLeased(id);
      else assert.equal(await deferredTo(id), expected);
    });
  }
});

/** The wall clock of the moment a delivery was put off to, in its notification's zone; within the next 24 hours. */
async function deferredTo(id: string): Promise<string> {
  assert.deepEqual(await lease(id), []);
  const [row] = await sql<{ status: string; time: string; soon: boolean }[]>`
    select d.status, to_char(d.due_at at time zone n.time_zone, 'HH24:MI:SS') as time,
           d.due_at > now() and d.due_at < now() + interval '24 hours' as soon
      from delivery.delivery d join delivery.notification n on n.id = d.notification_id
     where d.id = ${id}`;
  assert.deepEqual([row?.status, row?.soon], ["scheduled", true]);
  return row?.time ?? "";
}
