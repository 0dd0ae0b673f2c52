import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  Notification,
  NotificationList,
  PreviewAnswer,
} from "../../src/notification-dispatcher/answers.ts";
import { createRequest, createTestDispatcher, inHours, KEYS } from "../support/dispatcher.ts";
import { uniqueId } from "../support/ledger.ts";

const { sql, get, post } = await createTestDispatcher();

async function submit(fields: Record<string, unknown> = {}, key = KEYS.oak) {
  const { status, body } = await post("/v1/notifications", createRequest(fields), { key });
  assert.equal(status, 202);
  return body;
}

/** All pages of a list, as references; fails when they do not come to an end. */
async function readPages(path: string, key = KEYS.oak): Promise<string[][]> {
  const pages: string[][] = [];
  let next: string | undefined = path;
  while (next !== undefined) {
    assert.ok(pages.length < 20, "the list does not end");
    const { status, body } = await get(next, { key });
    assert.equal(status, 200);
    const { notifications, links } = NotificationList.parse(body);
    pages.push(notifications.map(({ reference }) => reference));
    next = links.next;
  }
  return pages;
}

describe("GET /v1/notifications/{id}", () => {
  test("tells where the notification stands and what happened, without a name or an address", async () => {
    const { id, deliveries: [sms, email] } = await submit({
      channels: ["sms", "email"],
      sendAt: inHours(1),
    });
    await sql`
      update delivery.delivery set status = 'sending', attempt = 1, attempted_at = now()
       where id = ${sms.id}`;
    await sql`
      update delivery.delivery
         set status = 'permanent_failure', reason = 'invalid_address', wake_at = null, provider_code = '21211'
       where id = ${sms.id}`;
    const { status, body, text } = await get(`/v1/notifications/${id}`);
    assert.equal(status, 200);
    const notification = Notification.parse(body);
    assert.equal(notification.status, "in_progress");
    assert.equal(notification.clinic, "oak");
    assert.equal(notification.appointment?.version, "3");
    assert.deepEqual(
      notification.deliveries.map(({ id, status, reason, attempt, providerCode }) => [
        id,
        status,
        reason,
        attempt,
        providerCode,
      ]),
      [
        [sms.id, "permanent_failure", "invalid_address", 1, "21211"],
        [email.id, "scheduled", null, 0, null],
      ],
    );
    assert.deepEqual(
      notification.timeline?.map(({ kind, channel, status, reason }) =>
        [kind, channel, status, reason].filter(Boolean).join(" ")
      ),
      ["accepted", "status sms sending", "status sms permanent_failure invalid_address"],
    );
    assert.doesNotMatch(text, /Ana|ana@example|600111222|Ruiz/);
  });

  test("shows no due time for a channel that waits for another", async () => {
    const { id } = await submit({ channels: ["email", "sms"], strategy: "first-success" });
    const { body } = await get(`/v1/notifications/${id}`);
    assert.equal(body.deliveries[1].dueAt, null);
    assert.notEqual(body.deliveries[0].dueAt, null);
  });

  test("shows a clinic's notifications to its own keys and to those for every clinic", async () => {
    const { id } = await submit({ clinic: "oak" }, KEYS.all);
    for (const key of [KEYS.oak, KEYS.oakTest, KEYS.all]) {
      assert.equal((await get(`/v1/notifications/${id}`, { key })).status, 200);
    }
    const answer = await get(`/v1/notifications/${id}`, { key: KEYS.ruiz });
    assert.deepEqual([answer.status, answer.body.code], [404, "not_found"]);
  });

  for (const id of ["00000000-0000-7000-8000-000000000000", "none", "1'--"]) {
    test(`knows no ${id}`, async () => {
      const { status } = await get(`/v1/notifications/${encodeURIComponent(id)}`);
      assert.equal(status, 404);
    });
  }
});

describe("GET /v1/notifications", () => {
  test("lists newest first, page by page", async () => {
    const appointment = { id: uniqueId("appointment"), startsAt: inHours(48) };
    const references: string[] = [];
    for (let count = 0; count < 5; count += 1) {
      references.unshift((await submit({ appointment })).reference);
    }
    const pages = await readPages(`/v1/notifications?appointmentId=${appointment.id}&limit=2`);
    assert.deepEqual(pages, [references.slice(0, 2), references.slice(2, 4), references.slice(4)]);
  });

  test("finds a client's own reference", async () => {
    const { id, reference } = await submit();
    const { body } = await get(`/v1/notifications?reference=${reference}`);
    assert.deepEqual(body.notifications.map((one: { id: string }) => one.id), [id]);
    assert.equal(body.links.next, undefined);
    const { body: theirs } = await get(`/v1/notifications?reference=${reference}`, {
      key: KEYS.all,
    });
    assert.deepEqual(theirs.notifications, []);
  });

  test("filters by status over pages", async () => {
    const appointment = { id: uniqueId("appointment"), startsAt: inHours(48) };
    const failed = [];
    for (let count = 0; count < 6; count += 1) {
      const { id, reference } = await submit({ appointment, sendAt: inHours(1) });
      if (count % 2 === 0) continue;
      await sql`
        update delivery.delivery set status = 'technical_failure', reason = 'config_error', wake_at = null
         where notification_id = ${id}`;
      failed.unshift(reference);
    }
    const query = `appointmentId=${appointment.id}&status=failed&limit=2`;
    const pages = await readPages(`/v1/notifications?${query}`);
    assert.deepEqual(pages.flat(), failed);
  });

  test("goes on past a page that held nothing of what was asked for", async () => {
    const appointmentId = uniqueId("appointment");
    const { id } = await submit({ appointment: { id: appointmentId, startsAt: inHours(48) } });
    await sql`
      update delivery.delivery set status = 'expired', reason = 'too_late', wake_at = null
       where notification_id = ${id}`;
    // More newer ones than a page examines
    await sql`
      with newer as (
        insert into delivery.notification (
          id, client_id, reference, request_sha256, clinic_id, mode, template, strategy, time_zone,
          appointment_id, appointment_need, send_at, expires_at)
        select ('ffffffff-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'many', n::text, '', 'oak', 'live',
               'visit', 'all', 'UTC', ${appointmentId}, 'any', now(), now() + interval '1 day'
          from generate_series(1, 1001) n
        returning id
      )
      insert into delivery.delivery (id, notification_id, channel, sender_id, status, due_at, expires_at)
      select gen_random_uuid(), id, 'sms', 'oak:sms', 'sent', now(), now() from newer`;
    const query = `appointmentId=${appointmentId}&status=expired`;
    const { body } = await get(`/v1/notifications?${query}`);
    assert.deepEqual(body.notifications, []);
    assert.equal((await readPages(`/v1/notifications?${query}`)).flat().length, 1);
  });

  test("shows no other clinic's", async () => {
    const appointment = { id: uniqueId("appointment"), startsAt: inHours(48) };
    const { reference } = await submit({ appointment }, KEYS.ruiz);
    const path = `/v1/notifications?appointmentId=${appointment.id}`;
    assert.deepEqual(await readPages(path), [[]]);
    assert.deepEqual(await readPages(path, KEYS.all), [[reference]]);
  });

  for (const query of ["limit=0", "limit=201", "limit=x", "status=lost", "cursor=x", "page=2"]) {
    test(`refuses ?${query}`, async () => {
      const answer = await get(`/v1/notifications?${query}`);
      assert.equal(answer.status, 400);
      assert.equal(answer.body.errors[0].pointer, `/${query.split("=")[0]}`);
    });
  }
});

describe("POST /v1/templates/{id}/preview", () => {
  const preview = {
    recipient: { name: "Ana Blanco" },
    data: { practitioner: "Dr Ruiz" },
    appointment: { startsAt: "2026-12-03T09:30:00Z", timeZone: "Europe/London" },
  };

  test("renders every channel and stores nothing", async () => {
    const { status, body } = await post("/v1/templates/visit/preview", preview);
    assert.equal(status, 200);
    const { parts, warnings } = PreviewAnswer.parse(body);
    assert.deepEqual(parts.map(({ channel }) => channel), ["email", "sms"]);
    const sms = parts.find(({ channel }) => channel === "sms");
    assert.deepEqual(sms, {
      channel: "sms",
      locale: "en",
      text: "Ana sees Dr Ruiz",
      encoding: "GSM-7",
      segments: 1,
    });
    assert.deepEqual(warnings.map(({ code }) => code), [
      "optional_data_missing",
      "optional_data_missing",
    ]);
    const [row] = await sql`
      select count(*)::int as rows from delivery.notification where template = 'visit' and reference = ''`;
    assert.equal(row?.rows, 0);
  });

  test("warns of what makes a text message dear", async () => {
    const { body } = await post("/v1/templates/visit/preview", {
      ...preview,
      channel: "sms",
      locale: "cy-GB",
      data: { practitioner: "Dr Ŵyn ".repeat(15).trim(), room: 5 },
    });
    assert.equal(body.parts[0].encoding, "UCS-2");
    assert.deepEqual(body.warnings.map(({ code }: { code: string }) => code), [
      "ucs2",
      "several_segments",
      "locale_fallback",
    ]);
    assert.match(body.warnings[0].message, /U\+0174/);
  });

  const wrong: [name: string, body: Record<string, unknown>, pointer: string][] = [
    ["missing data", { ...preview, data: {} }, "/data/practitioner"],
    ["no appointment", { data: preview.data }, "/appointment"],
    [
      "an unknown zone",
      { ...preview, recipient: { timeZone: "Mars/North" } },
      "/recipient/timeZone",
    ],
    ["an unknown field", { ...preview, to: "x" }, "/to"],
  ];
  for (const [name, body, pointer] of wrong) {
    test(`refuses ${name}`, async () => {
      const answer = await post("/v1/templates/visit/preview", body);
      assert.equal(answer.status, 400);
      assert.deepEqual(answer.body.errors.map((error: { pointer: string }) => error.pointer), [
        pointer,
      ]);
    });
  }

  test("refuses a channel the template has no text for", async () => {
    const answer = await post("/v1/templates/news/preview", { channel: "email" });
    assert.equal(answer.body.errors[0].code, "channel_not_in_template");
  });

  test("needs no body when the template needs nothing", async () => {
    const { body } = await post("/v1/templates/news/preview");
    assert.equal(body.parts[0].text, "News!");
  });

  test("knows no other templates", async () => {
    assert.equal((await post("/v1/templates/none/preview", {})).status, 404);
    assert.equal((await post("/v1/templates/constructor/preview", {})).status, 404);
  });
});
