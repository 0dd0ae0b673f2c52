/** Runs everything that can fail: `npm test`, or `npm test -- leases migrate` for the test files so named. */
import { spawn } from "node:child_process";
import { readdir } from "node:fs/promises";
import { availableParallelism } from "node:os";
import process from "node:process";
import {
  folderOf,
  report,
  type Result,
  runNode,
  runScript,
  startTestServices,
} from "./run-tests.ts";

const FAULTS = "faults";
const SIMULATION = "simulation";
const ORDER = ["unit", "architecture.test.ts", "integration", "end-to-end", FAULTS, "gitops"];
/** These run whole systems, one file at a time. */
const ONE_AT_A_TIME = ["end-to-end", FAULTS];
const FILES_AT_ONCE_MAX = 4;
const FILE_LIMIT_MS = 5 * 60_000;
const RUN_LIMIT_MS = 20 * 60_000;

const STATIC_CHECKS = [
  ["tsc"],
  ["deno", "check"],
  ["deno", "lint"],
  ["deno", "fmt", "--check"],
] as const;

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
    for (const stage of stages(files)) {
      results.push(await runNode({ ...stage, timeoutMs: FILE_LIMIT_MS }, signal));
    }
    const unit = files.filter((file) => file.startsWith("tests/unit/"));
    if (unit.length > 0) results.push(await runDeno(unit, signal));
    return report(results, missing);
  } finally {
    const services = await starting.catch(() => null);
    await services?.stop();
  }
}

async function findTests(filters: readonly string[]): Promise<string[]> {
  const names = await readdir("tests", { recursive: true });
  const files = names.filter((name) => name.endsWith(".test.ts")).map((name) => `tests/${name}`);
  const wanted = files.filter((file) =>
    filters.length === 0
      // Asked for by name: npm run test:faults, npm test -- simulation
      ? ![FAULTS, SIMULATION].includes(folderOf(file))
      : filters.some((filter) => file.includes(filter))
  );
  const place = (file: string) =>
    (ORDER.indexOf(folderOf(file)) + ORDER.length + 1) % (ORDER.length + 1);
  return wanted.sort((a, b) => place(a) - place(b) || a.localeCompare(b, "en"));
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

await runScript((signal) => main(process.argv.slice(2), signal), { limitMs: RUN_LIMIT_MS });
