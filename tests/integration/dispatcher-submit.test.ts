import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Accepted, BatchAnswer } from "../../src/notification-dispatcher/answers.ts";
import { skipWithoutPostgres } from "../support/database.ts";
import {
  createRequest,
  createTestDispatcher,
  inHours,
  KEYS,
  uniqueReference,
} from "../support/dispatcher.ts";
import { eventually } from "../support/eventually.ts";
import { insertPatient, readDelivery, readHistory } from "../support/ledger.ts";

const { sql, queue, post, lines } = await createTestDispatcher();

/** The ids of the deliveries that have been hinted. */
function hinted(): string[] {
  return queue.hints.map(({ deliveryId }) => deliveryId);
}

async function countRows(reference: string): Promise<number> {
  const [row] = await sql`
    select count(*)::int as rows from delivery.notification where reference = ${reference}`;
  return row?.rows;
}

describe("POST /v1/notifications", () => {
  test("stores the request and its deliveries, answers 202, and hints what is due", async () => {
    const request = createRequest({ channels: ["sms", "email"] });
    const answer = await post("/v1/notifications", request);
    assert.equal(answer.status, 202);
    const accepted = Accepted.parse(answer.body);
    assert.equal(answer.headers.get("location"), `/v1/notifications/${accepted.id}`);
    assert.deepEqual(accepted.links, { self: `/v1/notifications/${accepted.id}` });
    assert.equal(accepted.reference, request.reference);
    assert.deepEqual(accepted.deliveries.map(({ channel, status }) => [channel, status]), [
      ["sms", "scheduled"],
      ["email", "scheduled"],
    ]);

    const [row] = await sql`select * from delivery.notification where id = ${accepted.id}`;
    assert.equal(row?.clientId, "oak-desk");
    assert.equal(row?.clinicId, "oak");
    assert.equal(row?.mode, "live");
    assert.equal(row?.appointmentNeed, "booked");
    assert.equal(row?.timeZone, "Europe/Madrid");
    assert.deepEqual(row?.recipient, {
      name: "Ana",
      email: "ana@example.test",
      phone: "+34600111222",
    });
    const startsAt = new Date((request.appointment as { startsAt: string }).startsAt);
    assert.deepEqual(row?.expiresAt, new Date(startsAt.getTime() - 15 * 60_000));

    for (const { id, channel } of accepted.deliveries) {
      const delivery = await eventually("the hint is recorded", async () => {
        const found = await readDelivery(sql, id);
        return found.status === "queued" && found;
      });
      assert.equal(delivery.senderId, `oak:${channel}`);
      assert.equal(hinted().filter((hint) => hint === id).length, 1);
    }
  });

  test("takes the example of the API as it is", async () => {
    const [sendAt, startsAt, expiresAt] = [inHours(24), inHours(48), inHours(47)];
    const answer = await post("/v1/notifications", {
      reference: "booking-8821:confirmation",
      template: "visit",
      recipient: {
        patientId: "p-9",
        name: "Ana",
        email: "ana@example.org",
        phone: "+34600111222",
        locale: "es-ES",
        timeZone: "Europe/Madrid",
      },
      channels: ["sms", "email"],
      strategy: "all",
      data: { practitioner: "Dr Ruiz" },
      appointment: { id: "a-12345", version: "3", startsAt, timeZone: "Europe/Madrid" },
      sendAt,
      expiresAt,
    });
    assert.equal(answer.status, 202);
    const { dueAt, status } = await readDelivery(sql, answer.body.deliveries[0].id);
    assert.deepEqual(dueAt, new Date(sendAt));
    assert.equal(status, "scheduled");
    assert.ok(!hinted().includes(answer.body.deliveries[0].id));
  });

  test("makes the second channel wait for the first with first-success", async () => {
    const request = createRequest({ channels: ["email", "sms"], strategy: "first-success" });
    const { body } = await post("/v1/notifications", request);
    const [first, second] = body.deliveries;
    const waiting = await readDelivery(sql, second.id);
    assert.equal(waiting.after, first.id);
    assert.equal(waiting.dueAt, null);
    await eventually("the first is hinted", () => hinted().includes(first.id));
    assert.ok(!hinted().includes(second.id));
  });

  test("reads a national number as one of the clinic's country", async () => {
    const recipient = { phone: "600 111 222" };
    const { body } = await post("/v1/notifications", createRequest({ recipient }), {
      key: KEYS.ruiz,
    });
    const [row] = await sql`select recipient from delivery.notification where id = ${body.id}`;
    assert.deepEqual(row?.recipient, { phone: "+34600111222" });
  });

  test("asks for no address when the patient is known", async () => {
    const { id: patientId } = await insertPatient(sql);
    const answer = await post("/v1/notifications", createRequest({ recipient: { patientId } }));
    assert.equal(answer.status, 202);
  });

  test("keeps a message about a cancellation useful until the start, and others for a day", async () => {
    const cases = [
      [createRequest({ template: "withdrawn", data: {} }), 48],
      [createRequest({ template: "news", data: {}, appointment: undefined }), 24],
      [
        createRequest({ template: "news", data: {}, appointment: undefined, sendAt: inHours(5) }),
        29,
      ],
    ] as const;
    for (const [request, hours] of cases) {
      const { body } = await post("/v1/notifications", request);
      const [row] = await sql`
        select expires_at from delivery.notification where id = ${body.id}`;
      const difference = Math.abs(row?.expiresAt.getTime() - new Date(inHours(hours)).getTime());
      assert.ok(difference < 60_000, `${request.template}: expected ${hours} hours`);
    }
  });

  test("waits for the end of the clinic's quiet hours, on the recipient's clock", async () => {
    const day = Temporal.Now.zonedDateTimeISO("Europe/Madrid").add({ days: 2 }).toPlainDate();
    const at = (time: string, date = day) =>
      new Date(
        date.toZonedDateTime({ timeZone: "Europe/Madrid", plainTime: time }).epochMilliseconds,
      );
    const appointment = {
      id: "a-1",
      startsAt: at("12:00", day.add({ days: 3 })).toISOString(),
      timeZone: "Europe/Madrid",
    };
    const sendAt = at("22:30").toISOString();
    const { body } = await post("/v1/notifications", createRequest({ appointment, sendAt }), {
      key: KEYS.night,
    });
    const { dueAt } = await readDelivery(sql, body.deliveries[0].id);
    assert.deepEqual(dueAt, at("08:00", day.add({ days: 1 })));
    const [row] = await sql`
      select quiet_from, quiet_until from delivery.notification where id = ${body.id}`;
    assert.deepEqual({ ...row }, { quietFrom: "21:00:00", quietUntil: "08:00:00" });
  });

  test("suppresses at once what no moment is left for, and says so", async () => {
    const { id: patientId } = await insertPatient(sql);
    const clock = Temporal.Now.zonedDateTimeISO("UTC").toPlainTime().round("minute");
    await sql`
      insert into clinic.preference (clinic_id, patient_id, quiet_from, quiet_until, source)
      values ('oak', ${patientId}, ${clock.subtract({ hours: 2 }).toString()},
              ${clock.add({ hours: 4 }).toString()}, 'test')`;
    const request = createRequest({
      recipient: { patientId, timeZone: "UTC" },
      channels: ["sms", "email"],
      strategy: "first-success",
      expiresAt: inHours(1),
    });
    const answer = await post("/v1/notifications", request);
    assert.equal(answer.status, 202);
    assert.equal(answer.body.status, "suppressed");
    for (const { id, status } of answer.body.deliveries) {
      assert.equal(status, "suppressed");
      assert.equal((await readDelivery(sql, id)).reason, "quiet_hours");
      assert.deepEqual(await readHistory(sql, id), ["suppressed quiet_hours"]);
    }
    const again = await post("/v1/notifications", request);
    assert.equal(again.text, answer.text);
  });
});

describe("POST /v1/notifications/batch", () => {
  test("answers each notification in order", async () => {
    const good = createRequest();
    const notifications = [
      good,
      createRequest({ template: "none" }),
      { ...good, channels: ["email"] },
      good,
      "no request",
      createRequest({ clinic: "ruiz" }),
      createRequest(),
    ];
    const answer = await post("/v1/notifications/batch", { notifications });
    assert.equal(answer.status, 200);
    const { results } = BatchAnswer.parse(answer.body);
    assert.deepEqual(results.map(({ status }) => status), [202, 400, 422, 202, 400, 403, 202]);
    const ids = results.map((result) =>
      "notification" in result ? result.notification.id : result.problem.code
    );
    assert.equal(ids[3], ids[0]);
    assert.equal(ids[2], "reference_reused");
    assert.equal(await countRows(good.reference as string), 1);
  });

  test("stores and hints five hundred", async () => {
    const notifications = Array.from({ length: 500 }, () => createRequest());
    const { body } = await post("/v1/notifications/batch", { notifications });
    assert.equal(new Set(body.results.map(({ notification }: Item) => notification.id)).size, 500);
    const ids: string[] = body.results.map(({ notification }: Item) =>
      notification.deliveries[0]?.id
    );
    await eventually("all are hinted", async () => {
      const [row] = await sql`
        select count(*)::int as rows from delivery.delivery where id = any(${ids}) and status = 'queued'`;
      return row?.rows === 500;
    });
    const known = new Set(hinted());
    assert.ok(ids.every((id) => known.has(id)));
  });

  type Item = { notification: { id: string; deliveries: { id: string }[] } };
});

describe("An answer 202", () => {
  test("comes after the commit: when that fails, nothing is answered, stored or hinted", {
    skip: skipWithoutPostgres(),
  }, async () => {
    const reference = uniqueReference();
    await sql.unsafe(`
      create function fail_late() returns trigger language plpgsql as $$
        begin raise exception 'too late'; end $$;
      create constraint trigger fail_late after insert on delivery.notification
        deferrable initially deferred for each row
        when (new.reference = '${reference}') execute function fail_late()`);
    const before = queue.hints.length;
    const answer = await post("/v1/notifications", createRequest({ reference }));
    assert.deepEqual([answer.status, answer.body.code], [500, "internal"]);
    assert.equal(await countRows(reference), 0);
    assert.equal(queue.hints.length, before);
    assert.doesNotMatch(lines.join(), /too late|ana@example/);

    await sql.unsafe("drop trigger fail_late on delivery.notification");
    assert.equal((await post("/v1/notifications", createRequest({ reference }))).status, 202);
  });

  test("does not wait for the queue, and what it does not take is left to the relay", async () => {
    queue.refuses = true;
    try {
      const { status, body } = await post("/v1/notifications", createRequest());
      assert.equal(status, 202);
      const [{ id }] = body.deliveries;
      await eventually(
        "the hint that was not taken is given back",
        async () => (await readDelivery(sql, id)).status === "scheduled",
      );
    } finally {
      queue.refuses = false;
    }
  });
});
