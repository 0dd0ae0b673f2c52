import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, describe, test } from "node:test";
import {
  type TriggerOptions,
  triggerReminderRun,
} from "../../src/scheduler/trigger-reminder-run.ts";
import { createLog } from "../../src/shared/runtime/log.ts";

const COUNTS = { claimed: 3, forwarded: 2, deferred: 1, skipped: 0, failed: 0 };

type Answer =
  | { status: number; body?: unknown; headers?: Record<string, string> }
  | "break"
  | "silence";

/** An Appointment Service that gives these answers in turn, the last again and again. */
async function serve(...answers: Answer[]) {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url} ${request.headers.authorization}`);
    const answer = answers[Math.min(requests.length, answers.length) - 1];
    if (answer === "silence" || answer === undefined) return;
    if (answer === "break") return void request.socket.destroy();
    response.writeHead(answer.status, { "content-type": "application/json", ...answer.headers });
    response.end(JSON.stringify(answer.body));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, requests };
}

function trigger(url: string, options: Partial<TriggerOptions> = {}) {
  return triggerReminderRun({
    url,
    token: "operator",
    fetch,
    log: createLog("scheduler", { level: "error", write: () => {} }),
    signal: new AbortController().signal,
    pauseMs: 1,
    ...options,
  });
}

describe("triggerReminderRun()", () => {
  test("posts once, with the token, and returns the counts", async () => {
    const { url, requests } = await serve({ status: 200, body: COUNTS });
    assert.deepEqual(await trigger(url), COUNTS);
    assert.deepEqual(requests, ["POST /v1/reminder-runs Bearer operator"]);
  });

  test("logs the counts in one line", async () => {
    const { url } = await serve({ status: 200, body: COUNTS });
    const lines: string[] = [];
    await trigger(url, {
      log: createLog("scheduler", { level: "info", write: (line) => lines.push(line) }),
    });
    const logged = lines.map((line) => JSON.parse(line));
    assert.equal(logged.length, 1);
    assert.deepEqual({ ...logged[0], ...COUNTS }, logged[0]);
  });

  test("tries again when the service is not there yet, or away for a moment", async () => {
    const { url, requests } = await serve(
      "break",
      { status: 503, headers: { "retry-after": "0" } },
      { status: 503, headers: { "retry-after": new Date(0).toUTCString() } },
      { status: 200, body: COUNTS },
    );
    assert.deepEqual(await trigger(url), COUNTS);
    assert.equal(requests.length, 4);
  });

  test("does not wait longer than it has", async () => {
    const { url, requests } = await serve({ status: 503, headers: { "retry-after": "120" } });
    await assert.rejects(
      trigger(url),
      /^Error: Cannot trigger a reminder run at .*: it answered 503/,
    );
    assert.equal(requests.length, 1);
  });

  test("gives up after a bounded number of attempts", async () => {
    const { url, requests } = await serve("break");
    await assert.rejects(trigger(url), /Cannot trigger a reminder run at .*: no answer/);
    assert.equal(requests.length, 10);
  });

  test("gives up when no answer comes in time", async () => {
    const { url } = await serve("silence");
    await assert.rejects(trigger(url, { timeoutMs: 200 }), /no answer \(TimeoutError\)/);
  });

  test("says why it cannot, and does not ask again, when that must be mended", async () => {
    const problem = {
      code: "dispatcher_refused",
      detail: "It answered 401: check DISPATCHER_API_KEY",
    };
    const { url, requests } = await serve({ status: 502, body: problem });
    await assert.rejects(trigger(url), {
      message: `Cannot trigger a reminder run at ${url}/v1/reminder-runs: ` +
        "it answered 502, dispatcher_refused: It answered 401: check DISPATCHER_API_KEY",
    });
    assert.equal(requests.length, 1);
  });

  test("does not take any 200 for a run", async () => {
    for (const body of [{ status: "ok" }, "hello"]) {
      const { url } = await serve({ status: 200, body });
      await assert.rejects(trigger(url), /its answer is not that of a reminder run/);
    }
  });

  test("stops when the process is asked to", async () => {
    const { url } = await serve("break");
    const controller = new AbortController();
    const run = trigger(url, { signal: controller.signal, pauseMs: 30_000 });
    controller.abort();
    await assert.rejects(run, /Cannot trigger a reminder run/);
  });
});
