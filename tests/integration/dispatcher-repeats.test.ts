import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createRequest, createTestDispatcher, KEYS } from "../support/dispatcher.ts";
import { eventually } from "../support/eventually.ts";
import { insertPatient, uniqueId } from "../support/ledger.ts";

const { sql, queue, post } = await createTestDispatcher();

/** The ids of the deliveries that have been hinted. */
function hinted(): string[] {
  return queue.hints.map(({ deliveryId }) => deliveryId);
}

async function countRows(reference: string): Promise<number> {
  const [row] = await sql`
    select count(*)::int as rows from delivery.notification where reference = ${reference}`;
  return row?.rows;
}

describe("A reference", () => {
  test("gets the same answer, byte for byte, for the same request", async () => {
    const request = createRequest({ channels: ["sms", "email"] });
    const first = await post("/v1/notifications", request);
    const reordered = Object.fromEntries(Object.entries(request).reverse());
    const second = await post("/v1/notifications", reordered);
    assert.equal(second.status, 202);
    assert.equal(second.text, first.text);
    assert.equal(first.headers.get("idempotent-replayed"), null);
    assert.equal(second.headers.get("idempotent-replayed"), "true");
    assert.equal(await countRows(request.reference as string), 1);
  });

  test("gets it even when the message has gone out, and the request would be refused by now", async () => {
    const { id: patientId } = await insertPatient(sql);
    const request = createRequest({ recipient: { patientId } });
    const first = await post("/v1/notifications", request);
    await sql`
      update delivery.delivery set status = 'delivered', wake_at = null
       where notification_id = ${first.body.id}`;
    await sql`delete from clinic.patient where id = ${patientId}`;

    assert.equal((await post("/v1/notifications", request)).text, first.text);
    const another = await post("/v1/notifications", createRequest({ recipient: { patientId } }));
    assert.equal(another.status, 400);
  });

  test("is refused for another request", async () => {
    const request = createRequest();
    await post("/v1/notifications", request);
    const answer = await post("/v1/notifications", { ...request, channels: ["email"] });
    assert.deepEqual([answer.status, answer.body.code], [422, "reference_reused"]);
    assert.equal(await countRows(request.reference as string), 1);
  });

  test("is each client's own", async () => {
    const request = createRequest();
    const mine = await post("/v1/notifications", request);
    const theirs = await post("/v1/notifications", request, { key: KEYS.ruiz });
    assert.deepEqual([mine.status, theirs.status], [202, 202]);
    assert.notEqual(theirs.body.id, mine.body.id);
  });

  test("makes one notification of twenty requests at once", async () => {
    const request = createRequest();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => post("/v1/notifications", request)),
    );
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([202]));
    assert.equal(new Set(answers.map(({ text }) => text)).size, 1);
    assert.equal(answers.filter(({ headers }) => !headers.has("idempotent-replayed")).length, 1);
    assert.equal(await countRows(request.reference as string), 1);
    const [delivery] = answers[0]?.body.deliveries;
    await eventually("the hint comes", () => hinted().includes(delivery.id));
    assert.equal(hinted().filter((id) => id === delivery.id).length, 1);
  });
});

describe("An Idempotency-Key", () => {
  test("gives the same answer to the same request", async () => {
    const headers = { "idempotency-key": uniqueId("key") };
    const request = createRequest();
    const first = await post("/v1/notifications", request, { headers });
    const second = await post("/v1/notifications", request, { headers });
    assert.equal(first.status, 202);
    assert.equal(second.text, first.text);
    assert.equal(second.headers.get("idempotent-replayed"), "true");
  });

  test("is refused for another request, which is not stored", async () => {
    const headers = { "idempotency-key": uniqueId("key") };
    await post("/v1/notifications", createRequest(), { headers });
    const other = createRequest();
    const answer = await post("/v1/notifications", other, { headers });
    assert.deepEqual([answer.status, answer.body.code], [422, "idempotency_key_reused"]);
    assert.equal(await countRows(other.reference as string), 0);
  });

  test("makes one notification of twenty requests at once", async () => {
    const headers = { "idempotency-key": uniqueId("key") };
    const request = createRequest();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => post("/v1/notifications", request, { headers })),
    );
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([202]));
    assert.equal(new Set(answers.map(({ text }) => text)).size, 1);
    assert.equal(await countRows(request.reference as string), 1);
  });

  test("covers a whole batch", async () => {
    const headers = { "idempotency-key": uniqueId("key") };
    const notifications = [createRequest(), createRequest()];
    const first = await post("/v1/notifications/batch", { notifications }, { headers });
    const second = await post("/v1/notifications/batch", { notifications }, { headers });
    assert.equal(second.text, first.text);
    const other = { notifications: [createRequest()] };
    const { body } = await post("/v1/notifications/batch", other, { headers });
    assert.equal(body.results[0].problem.code, "idempotency_key_reused");
  });

  for (const key of ["a b", "x".repeat(256)]) {
    test(`is refused as "${key.slice(0, 10)}"`, async () => {
      const headers = { "idempotency-key": key };
      const answer = await post("/v1/notifications", createRequest(), { headers });
      assert.equal(answer.status, 400);
    });
  }
});
