import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { connectDatabase } from "../../src/shared/database/connect.ts";
import { createLog } from "../../src/shared/runtime/log.ts";
import {
  clinic,
  counts,
  DAY_MS,
  openDesk,
  run,
  stepping,
  TOKEN,
} from "../support/appointment-desk.ts";
import { createFakeDispatcher } from "../support/fake-dispatcher.ts";

const headers = { authorization: `Bearer ${TOKEN}` };
const { sql, service, book, bookMany, letTimePass, reminders } = await openDesk();

type Problem = { code: string; detail: string };

describe("POST /v1/reminder-runs with trouble", () => {
  test("gives the reminders back while the Dispatcher is away, and forwards them later", async () => {
    const fake = await createFakeDispatcher();
    const routes = service([clinic()], fake);
    const id = await book({ startsIn: 3 * DAY_MS });
    fake.fault = { kind: "status", status: 503 };

    const refused = await routes.request("/v1/reminder-runs", { method: "POST", headers });
    assert.equal(refused.status, 503);
    assert.equal(refused.headers.get("content-type"), "application/problem+json");
    assert.match(refused.headers.get("retry-after") ?? "", /^\d+$/);
    assert.equal((await refused.json() as Problem).code, "dispatcher_unavailable");
    assert.equal((await reminders(id))[0], "0 P7D planned");

    fake.fault = null;
    assert.deepEqual(await run(routes), counts({ claimed: 1, forwarded: 1 }));
  });

  for (const kind of ["break", "silence"] as const) {
    test(`repeats under the same reference after a ${kind}`, async () => {
      const fake = await createFakeDispatcher();
      const routes = service([clinic()], fake, {
        dispatcher: { url: fake.url, apiKey: fake.apiKey, fetch, timeoutMs: 300 },
      });
      const id = await book({ startsIn: 3 * DAY_MS });
      fake.fault = { kind };
      assert.equal((await run(routes)).status, 503);
      fake.fault = null;

      assert.deepEqual(await run(routes), counts({ claimed: 1, forwarded: 1 }));
      assert.equal(fake.accepted.size, 1);
      assert.equal((await reminders(id))[0], "0 P7D forwarded");
    });
  }

  test("says what to mend when the Dispatcher does not know the key", async () => {
    const fake = await createFakeDispatcher();
    const id = await book({ startsIn: 3 * DAY_MS });
    const routes = service([clinic()], { ...fake, apiKey: "another" });

    const { status, body } = await run<Problem>(routes);
    assert.equal(status, 502);
    assert.match(body.detail, /401.*DISPATCHER_API_KEY/);
    assert.equal((await reminders(id))[0], "0 P7D planned");
  });

  test("fails the one reminder that is refused, and logs its id", async () => {
    const fake = await createFakeDispatcher();
    const lines: string[] = [];
    const log = createLog("test", { level: "info", write: (line) => lines.push(line) });
    const refused = await book({ startsIn: 3 * DAY_MS });
    const accepted = await book({ startsIn: 3 * DAY_MS });
    fake.fault = {
      kind: "item",
      status: 400,
      code: "invalid_request",
      matches: (reference) => reference.includes(refused),
    };

    assert.deepEqual(
      await run(service([clinic()], fake, { log })),
      counts({ claimed: 2, forwarded: 1, failed: 1 }),
    );
    assert.equal((await reminders(refused))[0], "0 P7D failed config_error");
    assert.equal((await reminders(accepted))[0], "0 P7D forwarded");
    assert.ok(lines.some((line) => line.includes(refused) && line.includes("invalid_request")));
  });

  test("counts a reminder as forwarded whose reference the Dispatcher holds with another body", async () => {
    const fake = await createFakeDispatcher();
    const id = await book({ startsIn: 3 * DAY_MS });
    fake.fault = { kind: "item", status: 422, code: "reference_reused", matches: () => true };

    assert.deepEqual(await run(service([clinic()], fake)), counts({ claimed: 1, forwarded: 1 }));
    assert.equal((await reminders(id))[0], "0 P7D forwarded");
  });

  test("keeps a claim from others while it holds, and takes it over when its run has died", async () => {
    const fake = await createFakeDispatcher();
    const routes = service([clinic()], fake);
    const id = await book({ startsIn: 10 * DAY_MS });
    await run(routes);
    await letTimePass(id, ["P7D"]);
    await sql`
      update clinic.reminder set status = 'claimed', claimed_until = now() + interval '1 minute'
       where appointment_id = ${id} and stage = 'P7D'`;
    assert.deepEqual(await run(routes), counts());

    await sql`update clinic.reminder set claimed_until = now() where appointment_id = ${id} and stage = 'P7D'`;
    assert.deepEqual(await run(routes), counts({ claimed: 1, forwarded: 1 }));
  });

  test("takes no more batches when its time is spent, and leaves the rest to the next run", async () => {
    const fake = await createFakeDispatcher();
    await bookMany(450);
    // The clock is read at the start, before the batch of planning, and before each batch of reminders
    const hurried = service([clinic()], fake, { clock: stepping(10), runBudgetMs: 40 });

    assert.deepEqual(await run(hurried), counts({ claimed: 400, forwarded: 400 }));
    assert.deepEqual(await run(service([clinic()], fake)), counts({ claimed: 50, forwarded: 50 }));
  });

  test("takes no more batches when the process is asked to stop", async () => {
    const fake = await createFakeDispatcher();
    await book({ startsIn: 3 * DAY_MS });
    const routes = service([clinic()], fake, { signal: AbortSignal.abort() });
    assert.deepEqual(await run(routes), counts());
  });

  test("answers 503 when the database is away", async () => {
    const fake = await createFakeDispatcher();
    const away = connectDatabase("postgres://nobody@127.0.0.1:1/none", { name: "test" });
    const response = await service([clinic()], fake, { sql: away })
      .request("/v1/reminder-runs", { method: "POST", headers });
    await away.end();
    assert.equal(response.status, 503);
    assert.equal((await response.json() as Problem).code, "unavailable");
  });
});
