import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import type { Authorize } from "../../src/etl/fhir-client.ts";
import { createTestDatabase } from "../support/database.ts";
import { clearImported, createImport } from "../support/fhir-import.ts";
import { fhirAppointment } from "../support/fhir-samples.ts";
import { failTimes, startFhirServer } from "../support/fhir-server.ts";

const { sql } = await createTestDatabase();
const server = await startFhirServer();
const other = await startFhirServer();

beforeEach(async () => {
  server.reset();
  await clearImported(sql);
  server.put(fhirAppointment("a1", { patient: "p1" }));
});

const anonymous: Authorize = () => Promise.resolve({ kind: "authorized", header: null });

/** The waits between tries are noted, not waited. */
async function runImport(
  { authorize = anonymous, timeoutMs = 5_000 }: { authorize?: Authorize; timeoutMs?: number } = {},
) {
  const pauses: number[] = [];
  const warnings: unknown[] = [];
  const pause = (ms: number) => Promise.resolve(void pauses.push(ms));
  const counts = await createImport(sql, server.baseUrl)({
    fhir: { baseUrl: server.baseUrl, authorize, pause, timeoutMs },
    log: {
      debug() {},
      info() {},
      warn: (message, fields) => void warnings.push({ message, ...fields }),
      error() {},
    },
  });
  return { counts, pauses, warnings };
}

async function isFinished(): Promise<boolean> {
  const rows = await sql`select from clinic.sync_cursor`;
  return rows.length > 0;
}

/** The import fails with `message`, and moves no cursor. */
async function assertFails(
  message: RegExp,
  options?: Parameters<typeof runImport>[0],
): Promise<void> {
  await assert.rejects(runImport(options), message);
  assert.equal(await isFinished(), false);
}

describe("an import from a server in trouble", () => {
  for (const status of [429, 500, 502, 503]) {
    test(`asks again after HTTP ${status}`, async () => {
      server.fault = failTimes(3, status);
      const { counts, pauses } = await runImport();
      assert.equal(counts.appointments, 1);
      assert.equal(pauses.length, 3);
    });
  }

  test("waits as long as the server asks for, by the server's clock", async () => {
    server.fault = failTimes(1, 429, { headers: { "retry-after": "17" } });
    assert.deepEqual((await runImport()).pauses, [17_000]);

    const date = new Date(Math.floor(server.clock.getTime() / 1000) * 1000 + 40_000).toUTCString();
    server.fault = failTimes(1, 503, { headers: { "retry-after": date } });
    assert.deepEqual((await runImport()).pauses, [40_000]);
  });

  test("gives up after six tries, and says what it met", async () => {
    server.fault = failTimes(Infinity, 503, { body: "Ana Ruiz, +34600111222" });
    await assertFails(
      /^Error: Cannot read from the patient API http:\/\/127\.0\.0\.1:\d+: HTTP 503, 6 times in a row$/,
    );
    assert.equal(server.requests.length, 6);
  });

  test("asks again after a lost connection, also in the middle of a page", async () => {
    let lost = 0;
    server.fault = (_, response) => {
      if (lost === 2) return false;
      if (lost++ === 0) {
        response.destroy();
        return true;
      }
      response.writeHead(200, { "content-length": "1000" });
      response.write('{"resourceType":', () => response.destroy());
      return true;
    };
    const { counts, pauses } = await runImport();
    assert.equal(counts.appointments, 1);
    assert.ok(pauses.length > 0); // Deno's fetch has asked again by itself after the first
  });

  test("does not wait for an answer for ever", async () => {
    let silent = 1;
    server.fault = () => silent-- > 0; // Taken over, and never answered
    const { counts, warnings } = await runImport({ timeoutMs: 300 });
    assert.equal(counts.appointments, 1);
    assert.match(JSON.stringify(warnings), /no answer \(TimeoutError\)/);
  });
});

describe("an import from a server that refuses", () => {
  test("gets a new token once, and goes on", async () => {
    const authorize: Authorize = ({ renew }) =>
      Promise.resolve({ kind: "authorized", header: renew ? "Bearer new" : "Bearer old" });
    server.fault = failTimes(1, 401);
    assert.equal((await runImport({ authorize })).counts.appointments, 1);
    assert.deepEqual(server.authorizations.slice(0, 2), ["Bearer old", "Bearer new"]);
  });

  test("gives up when the new token is refused too", async () => {
    server.fault = failTimes(Infinity, 401);
    await assertFails(/^Error: Cannot read Appointment from http.*: HTTP 401 for page 1$/);
    assert.equal(server.requests.length, 2);
  });

  const outcome = JSON.stringify({
    resourceType: "OperationOutcome",
    issue: [{ severity: "error", code: "too-old", diagnostics: "Ana Ruiz" }],
  });

  for (const status of [400, 410]) {
    test(`says what to do when the cursor meets HTTP ${status}`, async () => {
      server.fault = failTimes(Infinity, status, { body: outcome });
      await assertFails(
        /: HTTP \d{3} \(too-old\) for page 1\. If it refuses the cursor, delete the row "Appointment" of clinic\.sync_cursor/,
      );
      assert.equal(server.requests.length, 1);
    });
  }

  test("does not follow a redirection with its token", async () => {
    server.fault = failTimes(Infinity, 302, { headers: { location: `${other.baseUrl}/x` } });
    await assertFails(/: HTTP 302 for page 1$/);
    assert.deepEqual(other.requests, []);
  });

  for (
    const [what, body, message] of [
      [
        "broken JSON",
        '{"resourceType": "Bundle", "name": "Ana',
        /: page 1 is not JSON \(HTTP 200\)$/,
      ],
      ["another resource", '{"resourceType": "Patient"}', /: page 1 is not a FHIR Bundle/],
      ["an OperationOutcome", outcome, /: page 1 is an OperationOutcome \(HTTP 200, too-old\)$/],
      [
        "a page that is not whole",
        `{"resourceType": "Bundle", "entry": [{"resource": ${outcome}}]}`,
        /: page 1 is an OperationOutcome \(HTTP 200, too-old\)$/,
      ],
    ] as const
  ) {
    test(`fails at ${what}, without a word of its content`, async () => {
      server.fault = failTimes(Infinity, 200, { body });
      await assertFails(message);
      assert.equal(server.requests.length, 1);
    });
  }

  test("keeps the pages before the broken one", async () => {
    server.put(fhirAppointment("a2", { patient: "p1" }));
    server.pageSize = 1;
    server.fault = (request, response) => {
      if (!request.url?.includes("_offset=1")) return false;
      response.end("oops");
      return true;
    };
    await assertFails(/: page 2 is not JSON/);
    const stored = await sql<{ id: string }[]>`select id from clinic.appointment`;
    assert.deepEqual(stored.map(({ id }) => id), ["a1"]);
  });
});

describe("an import from a server that leads astray", () => {
  function leadTo(url: string): void {
    const body = { resourceType: "Bundle", link: [{ relation: "next", url }] };
    server.fault = failTimes(Infinity, 200, { body: JSON.stringify(body) });
  }

  test("does not go to another server", async () => {
    leadTo(`${other.baseUrl}/Appointment?page=2`);
    await assertFails(
      /: the next page is said to be at http:\/\/127\.0\.0\.1:\d+\. Set FHIR_BASE_URL/,
    );
    assert.deepEqual(other.requests, []);
  });

  test("does not go in circles", async () => {
    leadTo("?page=2");
    await assertFails(/: page 2 leads back to a page already read$/);
    assert.equal(server.requests.length, 2);
  });

  test("refuses a link that is no URL", async () => {
    leadTo("http://[");
    await assertFails(/: the link to the next page is no URL$/);
  });
});
