/** What the scripts that run tests have in common. */
import { once } from "node:events";
import { relative } from "node:path";
import process from "node:process";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { startServices } from "./services.ts";

/** What one runner came to. `skipped` names the tests. */
export type Result = { runner: string; counts: string; ok: boolean; skipped: string[] };

export type NodeResult = Result & {
  /** What the tests themselves had to say, each with its file. */
  figures: string[];
};

export type TestServices = { missing: string[]; stop: () => Promise<void> };

/** Starts what the tests need and puts where it is into the environment, where the test files look. */
export async function startTestServices(): Promise<TestServices> {
  // Asking for the embedded parts shows what a machine without the real ones would see
  if (process.env.CARILLON_TEST_EMBEDDED === "1") {
    delete process.env.AMQP_URL;
    return {
      missing: ["CARILLON_TEST_EMBEDDED asks for the embedded parts"],
      stop: async () => {},
    };
  }
  const { databaseUrl, amqpUrl, missing, stop } = await startServices({
    durable: false,
    log: console.log,
  });
  // What the test files see
  if (databaseUrl === null) process.env.CARILLON_TEST_EMBEDDED = "1";
  else process.env.DATABASE_URL = databaseUrl;
  if (amqpUrl !== null) process.env.AMQP_URL = amqpUrl;
  return { missing, stop };
}

export type TestFiles = { files: string[]; filesAtOnce: number; timeoutMs: number };

/** Runs test files under Node and shows what they come to. */
export async function runNode(
  { files, filesAtOnce, timeoutMs }: TestFiles,
  signal: AbortSignal,
): Promise<NodeResult> {
  const stream = run({ files, concurrency: filesAtOnce, timeout: timeoutMs, signal });
  const skipped: string[] = [];
  let counts = "no summary";
  let ok = false;
  stream.on("test:pass", ({ name, file, skip }) => {
    if (skip !== undefined) skipped.push(`${relative(".", file ?? "")}: ${name}`);
  });
  const figures: string[] = [];
  stream.on("test:diagnostic", ({ message, file, nesting }) => {
    if (nesting > 0) figures.push(`${relative(".", file ?? "")}: ${message}`); // The others are the runner's own
  });
  stream.on("test:summary", (summary) => {
    if (summary.file !== undefined) return; // Of one file; the last is of all
    const { tests, passed, skipped } = summary.counts;
    const others = tests - passed - skipped;
    counts = `${tests} tests: ${passed} passed, ${others} failed, ${skipped} skipped`;
    ok = summary.success;
  });
  const shown = stream.compose(new spec());
  shown.pipe(process.stdout, { end: false });
  await once(shown, "end");
  const folders = [...new Set(files.map(folderOf))].join(", ");
  return { runner: `Node ${process.versions.node} (${folders})`, counts, ok, skipped, figures };
}

export function folderOf(file: string): string {
  return file.split("/")[1] ?? "";
}

/** Prints what it all came to, and returns whether the run passed. */
export function report(results: readonly Result[], missing: readonly string[]): boolean {
  const skipped = results.flatMap((result) => result.skipped);
  const inCi = process.env.CI === "true";
  const verdict = inCi ? ", which is a failure under CI=true" : "";
  console.log();
  for (const { runner, counts, ok } of results) {
    console.log(`${ok ? "✔" : "✖"} ${runner}: ${counts}`);
  }
  if (skipped.length > 0) {
    console.log(`\nSkipped${verdict}:`);
    for (const name of skipped) console.log(`  ${name}`);
  }
  if (missing.length > 0) {
    console.log(`\nThis run had embedded parts in place of real ones${verdict}:`);
    for (const line of missing) console.log(`  ${line}`);
    console.log(
      "For the real ones install PostgreSQL 15 or newer and RabbitMQ 3.10 or newer (Debian: apt-get install\n" +
        "postgresql rabbitmq-server), or start docker or podman, or set DATABASE_URL and AMQP_URL.",
    );
  }
  const complete = skipped.length === 0 && missing.length === 0;
  return results.every(({ ok }) => ok) && (complete || !inCi);
}

/** Runs `main` as a process: what it starts ends when it is interrupted, or takes longer than `limitMs`. */
export async function runScript(
  main: (signal: AbortSignal) => Promise<boolean>,
  { limitMs }: { limitMs: number },
): Promise<void> {
  const controller = new AbortController();
  const abort = (reason: string) => {
    console.error(`\n${reason}`);
    process.exitCode = 1;
    controller.abort();
  };
  const minutes = limitMs / 60_000;
  const limit = setTimeout(() => abort(`The run took longer than ${minutes} minutes`), limitMs);
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.once(name, () => abort("Interrupted: ending what was started"));
  }
  try {
    if (!await main(controller.signal)) process.exitCode = 1;
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  } finally {
    clearTimeout(limit);
  }
}
