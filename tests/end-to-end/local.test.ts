import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, describe, test } from "node:test";
import { createEmptyDatabase, skipWithoutPostgres } from "../support/database.ts";
import { eventually } from "../support/eventually.ts";
import { startProcess } from "../support/processes.ts";
import { brokerUrl, skipWithoutBroker } from "../support/queue.ts";

/** Any free port for each, so that the test does not meet a Carillon that is running. */
const FREE_PORTS = {
  PORT: "0",
  APPOINTMENT_SERVICE_PORT: "0",
  SANDBOX_PORT: "0",
  SANDBOX_SMTP_PORT: "0",
};

/** A busy machine takes its time to start all of it. */
const PATIENCE = { timeoutMs: 60_000 };

type Environment = Record<string, string | undefined>;

describe("npm start", () => {
  test("-- --once delivers the sample reminders by email and text, and nothing when run again", async () => {
    const environment = await freshState();
    const first = await startOnce("node", environment);
    assert.equal(first.code, 0, first.output);
    assert.match(first.output, /\d +email sent/);
    assert.match(first.output, /\d +sms delivered/);
    assert.doesNotMatch(first.output, /_failure/);

    const second = await startOnce("node", environment);
    assert.equal(second.code, 0, second.output);
    assert.match(second.output, /Nothing was due that has not been sent before/);
  });

  test("-- --once works on Deno", async () => {
    const { code, output } = await startOnce("deno", await freshState());
    assert.equal(code, 0, output);
    assert.match(output, /\d +email sent/);
    assert.match(output, /\d +sms delivered/);
  });

  test("-- --once works with a real PostgreSQL and RabbitMQ", {
    skip: skipWithoutBroker() || skipWithoutPostgres(),
  }, async () => {
    const { url } = await createEmptyDatabase();
    const environment = {
      ...await freshState(),
      DATABASE_URL: url,
      AMQP_URL: brokerUrl() ?? undefined,
    };
    const first = await startOnce("node", environment);
    assert.equal(first.code, 0, first.output);
    assert.match(first.output, /\d +email sent/);
    const second = await startOnce("node", environment);
    assert.match(second.output, /Nothing was due that has not been sent before/);
  });

  test("stays up, answers the README's curl lines, and ends at Ctrl-C", async () => {
    const carillon = startProcess(["npm", "start"], await freshState());
    const find = (pattern: RegExp) =>
      eventually(`${pattern} is printed`, () => carillon.output().match(pattern)?.[1], PATIENCE);
    const sandbox = await find(/(http:\S+) {2}what patients would get/);
    const dispatcher = await find(/(http:\S+)\/docs/);
    for (const line of await curlLines()) {
      const local = line.replaceAll("localhost:8080", new URL(dispatcher).host)
        .replaceAll("localhost:8025", new URL(sandbox).host);
      const curl = startProcess(["sh", "-c", local.replace("curl ", "curl --fail-with-body ")], {});
      assert.equal(await curl.exited, 0, `${line}\n${curl.output()}`);
    }
    for (const path of ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"]) {
      assert.equal((await fetch(`${dispatcher}${path}`)).status, 200, path);
    }
    assert.equal((await fetch(`${sandbox}/messages?channel=email`)).status, 200);

    process.kill(-carillon.pid, "SIGINT"); // As a terminal does: to npm and to what it started
    await carillon.exited; // Its code is npm's, which the signal ends too
    assert.doesNotMatch(carillon.output(), /"level":"error"|did not stop/);
    await assert.rejects(fetch(`${dispatcher}/healthz`), "nothing listens any more");
  });

  test("says which port is in use, and what to do", async () => {
    const running = startProcess(["npm", "start"], await freshState());
    const url = new URL(
      await eventually(
        "it runs",
        () => running.output().match(/(http:\S+) {2}what/)?.[1],
        PATIENCE,
      ),
    );
    const second = startProcess(["npm", "start"], {
      ...await freshState(),
      SANDBOX_PORT: url.port,
    });
    assert.equal(await second.exited, 1);
    assert.match(second.output(), new RegExp(`Cannot .*port ${url.port}.*in use`));
  });
});

/** The README's own, so that what it says is what works. */
async function curlLines(): Promise<string[]> {
  const lines = (await readFile("README.md", "utf8")).split("\n");
  const found = lines.filter((line) => line.startsWith("curl "));
  assert.equal(found.length, 5);
  return found;
}

async function startOnce(
  runtime: "node" | "deno",
  environment: Environment,
): Promise<{ code: number | null; output: string }> {
  const running = runtime === "node"
    ? startProcess(["npm", "start", "--", "--once"], environment)
    : startProcess(
      ["deno", "run", "--allow-all", "--no-check", "src/local/main.ts", "--once"],
      environment,
    );
  return { code: await running.exited, output: running.output() };
}

async function freshState(): Promise<Environment> {
  const folder = await mkdtemp(join(tmpdir(), "carillon-state-"));
  after(() => rm(folder, { recursive: true, force: true }));
  return { ...FREE_PORTS, STATE_DIR: folder, NO_COLOR: "1", CI: process.env.CI };
}
