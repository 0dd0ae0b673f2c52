import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { connectDatabase } from "../../src/shared/database/connect.ts";
import {
  clinic,
  counts,
  DAY_MS,
  HOUR_MS,
  MINUTE_MS,
  openDesk,
  run,
} from "../support/appointment-desk.ts";
import { createFakeDispatcher } from "../support/fake-dispatcher.ts";

const { sql, databaseUrl, service, book, bookMany, letTimePass, reminders } = await openDesk();

describe("POST /v1/reminder-runs", () => {
  test("plans a new appointment and gives out what is due", async () => {
    const fake = await createFakeDispatcher();
    const routes = service([clinic()], fake);
    const id = await book({ startsIn: 3 * DAY_MS });

    assert.deepEqual(await run(routes), counts({ claimed: 1, forwarded: 1 }));
    assert.deepEqual(await reminders(id), ["0 P7D forwarded", "0 P1D planned", "0 PT2H planned"]);
  });

  test("tells the Dispatcher who and what, and no contact", async () => {
    const fake = await createFakeDispatcher();
    const id = await book({ startsIn: 20 * HOUR_MS });
    await run(service([clinic()], fake));

    const [row] = await sql`
      select a.patient_id, a.starts_at, r.expires_at, r.notification_id
        from clinic.appointment a join clinic.reminder r on r.appointment_id = a.id
       where a.id = ${id} and r.stage = 'P1D'`;
    assert.deepEqual(fake.accepted.get(`reminder:${id}:0:P1D`), {
      id: row!.notificationId,
      reference: `reminder:${id}:0:P1D`,
      clinic: "oak",
      template: "appointment-reminder",
      recipient: { patientId: row!.patientId },
      channels: ["sms", "email"],
      strategy: "first-success",
      appointment: { id, startsAt: row!.startsAt.toISOString(), timeZone: "Europe/London" },
      expiresAt: row!.expiresAt.toISOString(),
      maxDataAge: "PT6H",
    });
  });

  test("gives a reminder out once in twenty-four runs over one window", async () => {
    const fake = await createFakeDispatcher();
    const routes = service([clinic()], fake);
    const id = await book({ startsIn: 20 * HOUR_MS });
    for (let hour = 0; hour < 24; hour += 1) await run(routes);

    assert.deepEqual([...fake.submissions], [[`reminder:${id}:0:P1D`, 1]]);
  });

  test("gives each reminder out once in ten runs at once", async () => {
    const fake = await createFakeDispatcher();
    const oak = clinic();
    await bookMany(2500);
    const pools = Array.from(
      { length: 10 },
      () => connectDatabase(databaseUrl, { name: "replica", maxConnections: 2 }),
    );
    try {
      const runs = await Promise.all(pools.map((pool) => run(service([oak], fake, { sql: pool }))));
      assert.ok(runs.every(({ status }) => status === 200));
      // A run that found its neighbours planning may have ended before there was something to claim
      await run(service([oak], fake));
      assert.equal(fake.submissions.size, 2500);
      assert.ok([...fake.submissions.values()].every((times) => times === 1));
    } finally {
      await Promise.all(pools.map((pool) => pool.end()));
    }
  });

  test("says of a booking ten minutes before that it is too late", async () => {
    const fake = await createFakeDispatcher();
    const id = await book({ startsIn: 10 * MINUTE_MS });

    assert.deepEqual(await run(service([clinic()], fake)), counts());
    assert.deepEqual(await reminders(id), [
      "0 P7D skipped too_late",
      "0 P1D skipped too_late",
      "0 PT2H skipped too_late",
    ]);
    assert.equal(fake.accepted.size, 0);
  });

  test("skips as too late what waited past its expiry", async () => {
    const fake = await createFakeDispatcher();
    const routes = service([clinic()], fake);
    const id = await book({ startsIn: 10 * DAY_MS });
    await run(routes);
    await letTimePass(id, ["PT2H"]);
    await sql`update clinic.reminder set expires_at = now() where appointment_id = ${id} and stage = 'PT2H'`;

    assert.deepEqual(await run(routes), counts({ skipped: 1 }));
    assert.deepEqual((await reminders(id)).at(-1), "0 PT2H skipped too_late");
  });

  test("gives out only the latest of the stages that have become due", async () => {
    const fake = await createFakeDispatcher();
    const routes = service([clinic()], fake);
    const id = await book({ startsIn: 10 * DAY_MS });
    await run(routes);
    await letTimePass(id, ["PT2H", "P1D", "P7D"]);

    assert.deepEqual(await run(routes), counts({ claimed: 1, forwarded: 1, skipped: 2 }));
    assert.deepEqual(await reminders(id), [
      "0 P7D skipped superseded",
      "0 P1D skipped superseded",
      "0 PT2H forwarded",
    ]);
  });

  test("has no use for an earlier stage once a later one is out", async () => {
    const fake = await createFakeDispatcher();
    const routes = service([clinic()], fake);
    const id = await book({ startsIn: 10 * DAY_MS });
    await run(routes);
    await letTimePass(id, ["P1D"]);
    await run(routes);
    await sql`
      update clinic.reminder set due_at = now() - interval '1 hour'
       where appointment_id = ${id} and stage = 'P7D'`;

    assert.deepEqual(await run(routes), counts({ skipped: 1 }));
  });
});

describe("POST /v1/reminder-runs with old data", () => {
  test("holds the reminders back and counts them", async () => {
    const fake = await createFakeDispatcher();
    const routes = service([clinic(), clinic({ id: "elm", maxDataAge: "PT12H" })], fake);
    await book({ startsIn: 3 * DAY_MS });
    await book({ startsIn: 3 * DAY_MS, clinicId: "elm" });
    await sql`update clinic.sync_cursor set succeeded_at = now() - interval '7 hours'`;

    assert.deepEqual(await run(routes), counts({ claimed: 1, forwarded: 1, deferred: 1 }));
    assert.deepEqual([...fake.accepted.values()].map(({ clinic }) => clinic), ["elm"]);

    await sql`update clinic.sync_cursor set succeeded_at = now()`;
    assert.deepEqual(await run(routes), counts({ claimed: 1, forwarded: 1 }));
  });

  test("holds them back when no import has succeeded yet", async () => {
    const fake = await createFakeDispatcher();
    await book({ startsIn: 3 * DAY_MS });
    await sql`update clinic.sync_cursor set succeeded_at = null`;
    assert.deepEqual(await run(service([clinic()], fake)), counts({ deferred: 1 }));
  });

  test("says that they are too late when the data stays old", async () => {
    const fake = await createFakeDispatcher();
    const id = await book({ startsIn: 3 * DAY_MS });
    await sql`update clinic.sync_cursor set succeeded_at = null`;
    const routes = service([clinic()], fake);
    await run(routes);
    await sql`update clinic.reminder set expires_at = now() where appointment_id = ${id}`;
    await run(routes);
    assert.equal((await reminders(id))[0], "0 P7D skipped too_late");
  });
});
