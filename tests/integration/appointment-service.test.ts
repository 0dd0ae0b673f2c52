import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, test } from "node:test";
import type { AppointmentPage } from "../../src/appointment-service/appointment-page.ts";
import type { Timeline } from "../../src/appointment-service/appointment-timeline.ts";
import {
  type Answer,
  clinic,
  DAY_MS,
  get,
  HOUR_MS,
  MINUTE_MS,
  openDesk,
  run,
  TOKEN,
} from "../support/appointment-desk.ts";
import { createFakeDispatcher } from "../support/fake-dispatcher.ts";

const { sql, service, book } = await openDesk();

type Problem = { code: string; errors: { parameter: string }[] };

describe("the Appointment Service's token", () => {
  const cases: [string, Record<string, string>][] = [
    ["none", {}],
    ["another", { authorization: "Bearer somebody" }],
    ["a longer one", { authorization: `Bearer ${TOKEN}s` }],
    ["another scheme", { authorization: `Basic ${TOKEN}` }],
  ];
  for (const [name, given] of cases) {
    test(`is asked for: ${name}`, async () => {
      const routes = service([clinic()], await createFakeDispatcher());
      for (const [method, path] of [["POST", "/v1/reminder-runs"], ["GET", "/v1/appointments"]]) {
        const response = await routes.request(path!, { method: method!, headers: given });
        assert.equal(response.status, 401);
        assert.equal(response.headers.get("content-type"), "application/problem+json");
        assert.equal(response.headers.get("www-authenticate"), "Bearer");
      }
    });
  }
});

describe("GET /v1/appointments", () => {
  test("shows a clinic's coming appointments in their order, with their reminders", async () => {
    const routes = service([clinic()], await createFakeDispatcher());
    const later = await book({ startsIn: 3 * DAY_MS });
    const sooner = await book({ startsIn: 10 * MINUTE_MS });
    await book({ startsIn: -DAY_MS });
    await book({ startsIn: DAY_MS, clinicId: "elm" });
    await run(routes);

    const { status, body } = await get<AppointmentPage>(routes, "/v1/appointments?clinic=oak");
    assert.equal(status, 200);
    assert.deepEqual(body.appointments.map(({ id }) => id), [sooner, later]);
    assert.equal(body.nextCursor, null);
    assert.deepEqual(
      body.appointments[0]?.reminders.map(({ reason }) => reason),
      ["too_late", "too_late", "too_late"],
    );
  });

  test("filters by time and status", async () => {
    const routes = service([clinic()], await createFakeDispatcher());
    await book({ startsIn: DAY_MS });
    const cancelled = await book({ startsIn: 2 * DAY_MS, status: "cancelled" });
    await book({ startsIn: 3 * DAY_MS, status: "cancelled" });
    const to = new Date(Date.now() + 2.5 * DAY_MS).toISOString();

    const { body } = await get<AppointmentPage>(
      routes,
      `/v1/appointments?clinic=oak&status=cancelled&to=${to}`,
    );
    assert.deepEqual(body.appointments.map(({ id }) => id), [cancelled]);
  });

  test("pages through all of them, each once", async () => {
    const routes = service([clinic()], await createFakeDispatcher());
    // Many at one moment, and moments that differ by microseconds
    await sql`
      insert into clinic.appointment (id, clinic_id, patient_id, status, starts_at, time_zone)
      select 'a' || n, 'oak', 'p' || n, 'booked', now() + interval '1 day' + (n / 40) * interval '1 microsecond',
             'Europe/London'
        from generate_series(1, 250) n`;
    const sizes: number[] = [];
    const seen = new Set<string>();
    let cursor: string | null = "";
    while (cursor !== null && sizes.length < 5) {
      const page: string = cursor === "" ? "" : `&cursor=${cursor}`;
      const { body }: Answer<AppointmentPage> = await get(
        routes,
        `/v1/appointments?clinic=oak${page}`,
      );
      sizes.push(body.appointments.length);
      for (const { id } of body.appointments) seen.add(id);
      cursor = body.nextCursor;
    }
    assert.deepEqual(sizes, [100, 100, 50]);
    assert.equal(seen.size, 250);
  });

  const faulty: [string, string][] = [
    ["", "clinic"],
    ["clinic=oak&from=tomorrow", "from"],
    ["clinic=oak&to=0000-01-01T00:00:00Z", "to"],
    ["clinic=oak&status=lost", "status"],
    ["clinic=oak&cursor=nonsense", "cursor"],
    [`clinic=oak&cursor=${btoa('["2026-99-01 00:00:00+00","a"]')}`, "cursor"],
    ["clinic=oak&page=2", "page"],
    ["clinic=%00", "clinic"],
  ];
  for (const [query, parameter] of faulty) {
    test(`names the parameter that is wrong in "${query}"`, async () => {
      const routes = service([clinic()], await createFakeDispatcher());
      const { status, body } = await get<Problem>(routes, `/v1/appointments?${query}`);
      assert.equal(status, 400);
      assert.deepEqual(body.errors.map((error) => error.parameter), [
        parameter,
      ]);
    });
  }
});

describe("GET /v1/appointments/{id}/timeline", () => {
  test("tells why the patient got it, or not", async () => {
    const fake = await createFakeDispatcher();
    const routes = service([clinic()], fake);
    const id = await book({ startsIn: 20 * HOUR_MS });
    await run(routes);
    const notificationId = fake.accepted.get(`reminder:${id}:0:P1D`)!.id;
    await deliver(id, notificationId);

    const { status, body } = await get<Timeline>(routes, `/v1/appointments/${id}/timeline`);
    assert.equal(status, 200);
    assert.deepEqual(
      body.reminders.map(({ stage, status, reason, notificationId }) => [
        stage,
        status,
        reason,
        notificationId,
      ]),
      [
        ["P7D", "skipped", "superseded", null],
        ["P1D", "forwarded", null, notificationId],
        ["PT2H", "planned", null, null],
      ],
    );
    const [notification] = body.notifications;
    assert.equal(notification?.id, notificationId);
    assert.equal(notification?.status, "failed");
    assert.deepEqual(
      notification?.deliveries[0]?.events.map(({ status }) => status),
      ["sending", "permanent_failure"],
    );
    assert.equal(notification?.deliveries[0]?.reason, "unreachable");
    assert.ok(!JSON.stringify(body).includes("+447700900000"), "no contact is shown");
  });

  test("answers 404 for an appointment that is not there", async () => {
    const routes = service([clinic()], await createFakeDispatcher());
    for (const id of ["none", "%00"]) {
      assert.equal((await get<Timeline>(routes, `/v1/appointments/${id}/timeline`)).status, 404);
    }
  });
});

/** What the Dispatcher and a worker write for a text message that is not delivered. */
async function deliver(appointmentId: string, notificationId: string): Promise<void> {
  const deliveryId = randomUUID();
  await sql`insert into delivery.sender (id) values ('oak:sms') on conflict do nothing`;
  await sql`
    insert into delivery.notification (id, client_id, reference, request_sha256, clinic_id, mode, template, strategy,
                                       recipient, time_zone, appointment_id, appointment_need, send_at, expires_at)
    values (${notificationId}, 'carillon', ${`reminder:${appointmentId}:0:P1D`}, '', 'oak', 'live', 'appointment-reminder',
            'all', '{"phone": "+447700900000"}', 'Europe/London', ${appointmentId}, 'booked', now(),
            now() + interval '1 day')`;
  await sql`
    insert into delivery.delivery (id, notification_id, channel, sender_id, due_at, expires_at, wake_at)
    values (${deliveryId}, ${notificationId}, 'sms', 'oak:sms', now(), now() + interval '1 day', now())`;
  await sql`update delivery.delivery set status = 'sending', attempt = 1 where id = ${deliveryId}`;
  await sql`
    update delivery.delivery set status = 'permanent_failure', reason = 'unreachable', wake_at = null
     where id = ${deliveryId}`;
}
