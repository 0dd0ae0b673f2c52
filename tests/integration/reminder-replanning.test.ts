import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { claimDueReminders } from "../../src/shared/database/reminders.ts";
import { clinic, counts, DAY_MS, HOUR_MS, openDesk, run } from "../support/appointment-desk.ts";
import { createFakeDispatcher } from "../support/fake-dispatcher.ts";

const { sql, service, book, change, letTimePass, reminders } = await openDesk();

describe("POST /v1/reminder-runs after a change", () => {
  test("plans a moved appointment anew, and withdraws what waited for its old time", async () => {
    const fake = await createFakeDispatcher();
    const routes = service([clinic()], fake);
    const id = await book({ startsIn: 3 * DAY_MS });
    await run(routes);
    await change(id, { startsIn: 5 * DAY_MS });

    assert.deepEqual(await run(routes), counts({ claimed: 1, forwarded: 1 }));
    assert.deepEqual(await reminders(id), [
      "0 P7D forwarded",
      "0 P1D cancelled appointment_rescheduled",
      "0 PT2H cancelled appointment_rescheduled",
      "1 P7D forwarded",
      "1 P1D planned",
      "1 PT2H planned",
    ]);
  });

  test("gives out nothing for an appointment cancelled since it was planned", async () => {
    const fake = await createFakeDispatcher();
    const routes = service([clinic()], fake);
    const id = await book({ startsIn: 10 * DAY_MS });
    await run(routes);
    await letTimePass(id, ["P1D"]);
    await change(id, { status: "cancelled" });

    assert.deepEqual(await run(routes), counts());
    assert.deepEqual(
      new Set(await reminders(id)),
      new Set([
        "0 P7D cancelled appointment_cancelled",
        "0 P1D cancelled appointment_cancelled",
        "0 PT2H cancelled appointment_cancelled",
      ]),
    );
  });

  test("gives out nothing of a row that has changed and is not planned yet", async () => {
    const fake = await createFakeDispatcher();
    const routes = service([clinic()], fake);
    const id = await book({ startsIn: 10 * DAY_MS });
    await run(routes);
    await letTimePass(id, ["P1D"]);
    await change(id, { confirmed: true });

    const stages = [{ clinicId: "oak", stage: "P1D", maxDataAge: "PT6H" }];
    const claim = await claimDueReminders(sql, { stages, limit: 10, claimSeconds: 60 });
    assert.deepEqual(claim, { claimed: [], skipped: 0 });
  });

  test("brings the reminders of an appointment back that was cancelled by mistake", async () => {
    const fake = await createFakeDispatcher();
    const routes = service([clinic()], fake);
    const id = await book({ startsIn: 3 * DAY_MS });
    await run(routes);
    await change(id, { status: "cancelled" });
    await run(routes);
    await change(id, { status: "booked" });
    await run(routes);

    assert.deepEqual(await reminders(id), ["0 P7D forwarded", "0 P1D planned", "0 PT2H planned"]);
    assert.equal(fake.submissions.get(`reminder:${id}:0:P7D`), 1);
  });

  test("tells late what came back late", async () => {
    const fake = await createFakeDispatcher();
    const routes = service([clinic()], fake);
    const id = await book({ startsIn: 10 * DAY_MS });
    await run(routes);
    await change(id, { status: "cancelled" });
    await run(routes);
    await sql`update clinic.appointment set starts_at = now() + interval '20 hours' where id = ${id}`;
    await change(id, { status: "booked" });

    assert.deepEqual(await run(routes), counts({ claimed: 1, forwarded: 1 }));
    assert.deepEqual(await reminders(id), [
      "0 P7D skipped superseded",
      "0 P1D forwarded",
      "0 PT2H planned",
    ]);
  });

  test("asks nothing more of a patient who confirms", async () => {
    const fake = await createFakeDispatcher();
    const routes = service([clinic()], fake);
    const id = await book({ startsIn: 3 * DAY_MS });
    await run(routes);
    await letTimePass(id, ["P1D"]);
    await change(id, { confirmed: true });

    assert.deepEqual(await run(routes), counts());
    assert.deepEqual(await reminders(id), [
      "0 P7D forwarded",
      "0 P1D skipped already_confirmed",
      "0 PT2H skipped already_confirmed",
    ]);
  });

  test("does not remind again when something else about the appointment changes", async () => {
    const fake = await createFakeDispatcher();
    const routes = service([clinic()], fake);
    const id = await book({ startsIn: 20 * HOUR_MS });
    await run(routes);
    await change(id, {});

    assert.deepEqual(await run(routes), counts());
    assert.deepEqual(await reminders(id), [
      "0 P7D skipped superseded",
      "0 P1D forwarded",
      "0 PT2H planned",
    ]);
  });

  test("keeps what was due before something else changed", async () => {
    const fake = await createFakeDispatcher();
    const routes = service([clinic()], fake);
    const id = await book({ startsIn: 10 * DAY_MS });
    await run(routes);
    // Due by its plan, too: as after an hour without runs
    await sql`update clinic.appointment set starts_at = now() + interval '23 hours' where id = ${id}`;
    await letTimePass(id, ["P1D"]);
    await change(id, {});

    assert.deepEqual(await run(routes), counts({ claimed: 1, forwarded: 1 }));
    assert.deepEqual([...fake.accepted.keys()], [`reminder:${id}:0:P1D`]);
  });
});

describe("POST /v1/reminder-runs with a changed plan", () => {
  const P3D = { before: "P3D", channels: ["sms"], strategy: "all" } as const;
  const [, P1D, PT2H] = clinic().reminders;
  const changed = () => clinic({ reminders: [{ ...P3D, channels: ["sms"] }, P1D!, PT2H!] });

  test("plans the coming appointments of the clinic again, once", async () => {
    const fake = await createFakeDispatcher();
    const id = await book({ startsIn: 10 * DAY_MS });
    await run(service([clinic()], fake));
    await run(service([changed()], fake));
    assert.deepEqual(await reminders(id), [
      "0 P7D cancelled operator",
      "0 P3D planned",
      "0 P1D planned",
      "0 PT2H planned",
    ]);

    await sql`delete from clinic.reminder where appointment_id = ${id}`;
    await run(service([changed()], fake));
    assert.deepEqual(await reminders(id), []);
  });

  test("does not remind everybody at once of a stage that is past", async () => {
    const fake = await createFakeDispatcher();
    const id = await book({ startsIn: 2 * DAY_MS });
    await run(service([clinic()], fake));

    assert.deepEqual(await run(service([changed()], fake)), counts());
    assert.deepEqual(await reminders(id), ["0 P7D forwarded", "0 P1D planned", "0 PT2H planned"]);
  });

  test("withdraws the reminders of a clinic that is no longer there, and plans them when it is back", async () => {
    const fake = await createFakeDispatcher();
    const id = await book({ startsIn: 10 * DAY_MS });
    await run(service([clinic()], fake));
    await run(service([clinic({ id: "elm" })], fake));
    assert.equal((await reminders(id))[0], "0 P7D cancelled operator");

    await run(service([clinic()], fake));
    assert.equal((await reminders(id))[0], "0 P7D planned");
  });

  test("leaves a channel's change to the next reminder", async () => {
    const fake = await createFakeDispatcher();
    const id = await book({ startsIn: 10 * DAY_MS });
    await run(service([clinic()], fake));
    await letTimePass(id, ["P7D"]);
    const reminders = [
      { before: "P7D", channels: ["sms" as const], strategy: "all" as const },
      P1D!,
      PT2H!,
    ];
    await run(service([clinic({ reminders })], fake));

    assert.deepEqual(fake.accepted.get(`reminder:${id}:0:P7D`)?.channels, ["sms"]);
  });
});
