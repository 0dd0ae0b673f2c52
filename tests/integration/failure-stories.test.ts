// What went wrong for others with lost, doubled and stale messages, and what keeps it from us. Each story has its test:
// here, or in the file that is named, which is looked into so that the test cannot go without a word.
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { cancelNotification } from "../../src/shared/database/cancellations.ts";
import { claimDueHints } from "../../src/shared/database/hints.ts";
import { leaseDeliveries } from "../../src/shared/database/leases.ts";
import {
  DELIVERY_STATUSES,
  type DeliveryStatus,
  isTerminal,
  type Reason,
} from "../../src/shared/domain/delivery.ts";
import { clinic, counts, DAY_MS, HOUR_MS, openDesk, run } from "../support/appointment-desk.ts";
import { createFakeDispatcher } from "../support/fake-dispatcher.ts";
import {
  insertAppointment,
  insertDelivery,
  insertNotification,
  minutesFromNow,
  readDelivery,
  readHistory,
  uniqueId,
} from "../support/ledger.ts";

const TESTS = new URL("../", import.meta.url);
const TEMPLATES = new URL("../../gitops/base/config/templates/", import.meta.url);

const ELSEWHERE: [story: string, file: string, test: string][] = [
  [
    "F1: a reminder again every hour",
    "integration/reminder-runs.test.ts",
    "gives a reminder out once in twenty-four runs over one window",
  ],
  [
    "F3: a crash between the provider's yes and our record",
    "faults/kill-worker.test.ts",
    "loses nothing, and doubles no more than cannot be known",
  ],
  [
    "F4: an HTTP answer that says nothing",
    "faults/providers.test.ts",
    "Twilio: what was taken is found and not sent again, what was not is sent once",
  ],
  [
    "F5: silence after the final dot",
    "faults/providers.test.ts",
    "SMTP at each stage: each in its class, and none sent a second time without asking",
  ],
  [
    "F5: and the same Message-ID",
    "integration/email-worker.test.ts",
    "sends an unclear one again, under the same Message-ID, if the clinic says repeat",
  ],
  [
    "F6: two workers take up the same message",
    "integration/sms-worker.test.ts",
    "sends once however often and to however many workers it is hinted",
  ],
  [
    "F7: two schedulers",
    "integration/reminder-runs.test.ts",
    "gives each reminder out once in ten runs at once",
  ],
  [
    "F8: a client that asks again after our outage",
    "faults/kill-dispatcher.test.ts",
    "before its answer, before its hint, and between a relay's claim and its hint",
  ],
  [
    "F9: one try, and an outage loses it",
    "unit/after-attempt.test.ts",
    "tries again after half a minute, doubled up to half an hour",
  ],
  [
    "F10: an error that is swallowed",
    "integration/email-worker.test.ts",
    "fails what it cannot render, and what no clinic sends any more; neighbours go on",
  ],
  [
    "F11: a booking inside the offset",
    "integration/reminder-runs.test.ts",
    "says of a booking ten minutes before that it is too late",
  ],
  [
    "F13: a permanent error left pending",
    "integration/email-worker.test.ts",
    "suppresses an address that does not exist, and no other",
  ],
  [
    "F14: given up at the first error, or never",
    "unit/after-attempt.test.ts",
    "gives up after so many failures, with the reason",
  ],
  [
    "F14: or with every worker that dies of it",
    "faults/kill-culprit.test.ts",
    "is parked with its reason after five workers, and its neighbours are delivered once",
  ],
  [
    "F15: receipts early and out of order",
    "faults/receipts.test.ts",
    "early, late, doubled, out of order, forged, of nobody, and while the database is away",
  ],
  [
    "F25: a reminder after the cancellation",
    "integration/dispatcher-cancel.test.ts",
    "either finds the delivery leased or keeps it from being leased",
  ],
  [
    "F27: a burst of what was missed",
    "integration/reminder-runs.test.ts",
    "gives out only the latest of the stages that have become due",
  ],
  [
    "F29: the dead and the merged",
    "unit/patient-mapping.test.ts",
    "knows the dead, the inactive and the merged",
  ],
];

const { sql, service, book, letTimePass, change, reminders } = await openDesk();

async function lease(...ids: string[]): Promise<string[]> {
  return (await leaseDeliveries(sql, { ids, leaseSeconds: 60 })).map(({ id }) => id);
}

describe("failure stories with a test elsewhere", () => {
  for (const [story, file, title] of ELSEWHERE) {
    test(`${story}: ${file}`, async () => {
      const source = await readFile(new URL(file, TESTS), "utf8");
      assert.ok(source.includes(title), `${file} has no test "${title}"`);
    });
  }
});

describe("failure stories about reminders", () => {
  test("F2: each occurrence of a series has its own reminders, and its own cancellation", async () => {
    const fake = await createFakeDispatcher();
    const routes = service([clinic()], fake);
    const [monday, tuesday] = [
      await book({ startsIn: 20 * HOUR_MS }),
      await book({ startsIn: DAY_MS + 20 * HOUR_MS }),
    ];
    await run(routes);
    await change(tuesday, { status: "cancelled" });
    await run(routes);
    assert.equal((await reminders(monday)).filter((line) => line.includes("forwarded")).length, 1);
    assert.equal(
      (await reminders(tuesday)).filter((line) => line.includes("planned")).length,
      0,
      "nothing more of the cancelled one",
    );
    assert.ok([...fake.submissions.values()].every((times) => times === 1));
  });

  test("F12: a reminder whose minute nobody looked at goes out at the next look", async () => {
    const fake = await createFakeDispatcher();
    const routes = service([clinic()], fake);
    const id = await book({ startsIn: 3 * HOUR_MS });
    await run(routes);
    await letTimePass(id, ["PT2H"]);
    await sql`
      update clinic.reminder set due_at = due_at - interval '37 minutes'
       where appointment_id = ${id} and stage = 'PT2H'`;
    assert.deepEqual(await run(routes), counts({ claimed: 1, forwarded: 1 }));
    assert.equal(fake.submissions.get(`reminder:${id}:0:PT2H`), 1);
  });
});

describe("failure stories about messages", () => {
  test("F10: whatever is open will be looked at again, at the latest when it is of no more use", async () => {
    for (const status of DELIVERY_STATUSES.filter((each) => !isTerminal(each) && each !== "sent")) {
      const id = await insertDelivery(sql, { status });
      await assert.rejects(
        async () => await sql`update delivery.delivery set wake_at = null where id = ${id}`,
        { code: "23514" }, // check_violation
        status,
      );
    }
  });

  const ENDS: [DeliveryStatus, Reason | null][] = [
    ["delivered", null],
    ["temporary_failure", "unreachable"],
    ["permanent_failure", "invalid_address"],
    ["technical_failure", "provider_error"],
    ["suppressed", "opted_out"],
    ["cancelled", "operator"],
    ["expired", "too_late"],
  ];
  test("F16: every end is told once in the history, with its reason, whoever brought it about", async () => {
    assert.deepEqual(
      ENDS.map(([status]) => status).sort(),
      DELIVERY_STATUSES.filter(isTerminal).sort(),
    );
    for (const [status, reason] of ENDS) {
      const id = await insertDelivery(sql, { status: "sending", attempt: 1 });
      const end = { status, reason, wakeAt: null };
      await sql`update delivery.delivery set ${sql(end)} where id = ${id}`;
      await sql`update delivery.delivery set ${sql(end)} where id = ${id}`;
      assert.deepEqual(await readHistory(sql, id), [
        reason === null ? status : `${status} ${reason}`,
      ]);
    }
  });

  test("F25: a message of the future waits with us, where a cancellation reaches it", async () => {
    const appointment = await insertAppointment(sql);
    const id = await insertDelivery(sql, {
      dueAt: minutesFromNow(60),
      notification: {
        clinicId: appointment.clinicId,
        appointmentId: appointment.id,
        appointmentNeed: "booked",
        startsAt: appointment.startsAt,
        expiresAt: minutesFromNow(120),
      },
    });
    assert.deepEqual(await lease(id), [], "nothing is given to the provider before its time");
    await sql`update clinic.appointment set status = 'cancelled' where id = ${appointment.id}`;
    await sql`update delivery.delivery set due_at = now() where id = ${id}`;
    assert.deepEqual(await lease(id), []);
    assert.equal((await readDelivery(sql, id)).reason, "appointment_cancelled");
  });

  test("F26: one of several people is called off, and only that one's message", async () => {
    const shared = {
      clinicId: uniqueId("clinic"),
      appointmentId: uniqueId("group"),
      startsAt: minutesFromNow(60),
    };
    const [one, other] = [
      await insertNotification(sql, shared),
      await insertNotification(sql, shared),
    ];
    const [ofOne, ofOther] = [
      await insertDelivery(sql, { notificationId: one.id }),
      await insertDelivery(sql, { notificationId: other.id }),
    ];
    await cancelNotification(sql, { id: one.id, clinicId: null });
    assert.deepEqual(await lease(ofOne, ofOther), [ofOther]);
  });

  test("F27: what an outage has made pointless ends, and is not sent", async () => {
    const notification = { clinicId: uniqueId("clinic"), expiresAt: minutesFromNow(-1) };
    const waiting = await insertDelivery(sql, { status: "queued", notification });
    const hinted = await insertDelivery(sql, { notification });
    assert.deepEqual(await lease(hinted), []);
    await claimDueHints(sql, { channel: "sms", limit: 1_000, perSender: 1_000 });
    for (const id of [waiting, hinted]) {
      assert.deepEqual((await readDelivery(sql, id)).status, "expired");
    }
  });

  test("F28: no message tells a patient where to come: that is not the same for a remote visit", async () => {
    const names = (await readdir(TEMPLATES, { recursive: true })).filter((name) =>
      name.endsWith(".liquid")
    );
    assert.ok(names.length > 0);
    for (const name of names) {
      const source = await readFile(new URL(name, TEMPLATES), "utf8");
      assert.doesNotMatch(source, /\b(address|location|place|directions|room)\b/i, name);
    }
  });

  test("F29: nobody writes to one who has died since the message was accepted", async () => {
    const patientId = uniqueId("patient");
    await sql`
      insert into clinic.patient (id, given_name, phone, active, deceased)
      values (${patientId}, 'Ben', '+447700900123', true, false)`;
    const id = await insertDelivery(sql, { notification: { patientId } });
    await sql`update clinic.patient set deceased = true where id = ${patientId}`;
    assert.deepEqual(await lease(id), []);
    assert.equal((await readDelivery(sql, id)).reason, "deceased");
  });
});
