/** Runs everything that can fail: `npm test`, or `npm test -- leases migrate` for the test files so named. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { relative } from "node:path";
import process from "node:process";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { startServices } from "./services.ts";

const ORDER = ["unit", "architecture.test.ts", "integration", "end-to-end", "faults", "gitops"];
/** These run whole systems, one file at a time. */
const ONE_AT_A_TIME = ["end-to-end", "faults"];
const FILES_AT_ONCE_MAX = 4;
const FILE_LIMIT_MS = 5 * 60_000;
const RUN_LIMIT_MS = 20 * 60_000;

const STATIC_CHECKS = [
  ["tsc"],
  ["deno", "check"],
  ["deno", "lint"],
  ["deno", "fmt", "--check"],
] as const;

/** What one runner came to. `skipped` names the tests. */
type Result = { runner: string; counts: string; ok: boolean; skipped: string[] };

async function main(filters: readonly string[], signal: AbortSignal): Promise<boolean> {
  const files = await findTests(filters);
  if (files.length === 0) {
    throw new Error(
      `Cannot run tests: no file under tests/ has "${filters.join('" or "')}" in its path`,
    );
  }
  const starting = startTestServices();
  const results: Result[] = [];
  try {
    // A few named files are wanted quickly
    if (filters.length === 0) results.push(await runStaticChecks(signal));
    const { missing } = await starting;
    for (const stage of stages(files)) results.push(await runNode(stage, signal));
    const unit = files.filter((file) => file.startsWith("tests/unit/"));
    if (unit.length > 0) results.push(await runDeno(unit, signal));
    return report(results, missing);
  } finally {
    const services = await starting.catch(() => null);
    await services?.stop();
  }
}

async function startTestServices() {
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

async function findTests(filters: readonly string[]): Promise<string[]> {
  const names = await readdir("tests", { recursive: true });
  const files = names.filter((name) => name.endsWith(".test.ts")).map((name) => `tests/${name}`);
  const wanted = files.filter((file) =>
    filters.length === 0 || filters.some((filter) => file.includes(filter))
  );
  const place = (file: string) =>
    (ORDER.indexOf(folderOf(file)) + ORDER.length + 1) % (ORDER.length + 1);
  return wanted.sort((a, b) => place(a) - place(b) || a.localeCompare(b, "en"));
}

function folderOf(file: string): string {
  return file.split("/")[1] ?? "";
}

/** Neighbours that may run at once form one stage. */
function stages(files: readonly string[]): { files: string[]; filesAtOnce: number }[] {
  const atOnce = Math.min(availableParallelism(), FILES_AT_ONCE_MAX);
  const result: { files: string[]; filesAtOnce: number }[] = [];
  for (const file of files) {
    const filesAtOnce = ONE_AT_A_TIME.includes(folderOf(file)) ? 1 : atOnce;
    const last = result.at(-1);
    if (last?.filesAtOnce === filesAtOnce) last.files.push(file);
    else result.push({ files: [file], filesAtOnce });
  }
  return result;
}

async function runStaticChecks(signal: AbortSignal): Promise<Result> {
  const failed: string[] = [];
  for (const command of STATIC_CHECKS) {
    const name = command.join(" ");
    const started = performance.now();
    const { code, output } = await runProgram(command, signal);
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    console.log(`${code === 0 ? "✔" : "✖"} ${name} (${seconds} s)`);
    if (code === 0) continue;
    failed.push(name);
    console.log(output.trimEnd().replaceAll(/^/gm, "  "));
  }
  const counts = `${STATIC_CHECKS.length - failed.length} passed, ${failed.length} failed`;
  const names = failed.length === 0 ? "" : `: ${failed.join(", ")}`;
  return {
    runner: "Static checks",
    counts: `${counts}${names}`,
    ok: failed.length === 0,
    skipped: [],
  };
}

async function runNode(
  { files, filesAtOnce }: { files: string[]; filesAtOnce: number },
  signal: AbortSignal,
): Promise<Result> {
  const stream = run({ files, concurrency: filesAtOnce, timeout: FILE_LIMIT_MS, signal });
  const skipped: string[] = [];
  let counts = "no summary";
  let ok = false;
  stream.on("test:pass", ({ name, file, skip }) => {
    if (skip !== undefined) skipped.push(`${relative(".", file ?? "")}: ${name}`);
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
  return { runner: `Node ${process.versions.node} (${folders})`, counts, ok, skipped };
}

/** The unit tests once more, under Deno. It shows what it did when something failed. */
async function runDeno(files: string[], signal: AbortSignal): Promise<Result> {
  const command = ["deno", "test", "--allow-all", "--no-check", ...files];
  const { code, output } = await runProgram(command, signal);
  if (code !== 0) console.log(output);
  const counts = output.match(/^(?:ok|FAILED) \| (.*) \(\d+m?s\)$/m)?.[1] ?? "no summary";
  const ignored = Number(counts.match(/(\d+) ignored/)?.[1] ?? 0);
  const skipped = ignored === 0 ? [] : [`tests/unit: ${ignored} under Deno`];
  return { runner: "Deno (unit)", counts: counts.replaceAll(" | ", ", "), ok: code === 0, skipped };
}

async function runProgram(
  [file = "", ...args]: readonly string[],
  signal: AbortSignal,
): Promise<{ code: number; output: string }> {
  const env = { ...process.env, NO_COLOR: "1" };
  const child = spawn(file, args, { signal, env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => output += text);
  }
  return await new Promise((resolve) => {
    child.once("error", (error) => resolve({ code: 1, output: `${output}\n${error.message}` }));
    child.once("close", (code) => resolve({ code: code ?? 1, output }));
  });
}

/** Prints what it all came to, and returns whether the run passed. */
function report(results: readonly Result[], missing: readonly string[]): boolean {
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

const controller = new AbortController();
const abort = (reason: string) => {
  console.error(`\n${reason}`);
  process.exitCode = 1;
  controller.abort();
};
const limit = setTimeout(
  () => abort(`The run took longer than ${RUN_LIMIT_MS / 60_000} minutes`),
  RUN_LIMIT_MS,
);
for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.once(name, () => abort("Interrupted: ending what was started"));
}
try {
  if (!await main(process.argv.slice(2), controller.signal)) process.exitCode = 1;
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
} finally {
  clearTimeout(limit);
}
