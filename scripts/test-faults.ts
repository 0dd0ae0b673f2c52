/** Runs the faults: `npm run test:faults`, with `-- --long` for half an hour of them, with `-- overload` for files so named. */
import { readdir } from "node:fs/promises";
import process from "node:process";
import { parseArgs } from "node:util";
import { report, runNode, runScript, startTestServices } from "./run-tests.ts";

const FOLDER = "tests/faults";
const MINUTE_MS = 60_000;
const LIMITS = {
  short: { fileMs: 5 * MINUTE_MS, runMs: 20 * MINUTE_MS },
  long: { fileMs: 60 * MINUTE_MS, runMs: 120 * MINUTE_MS },
};

const { values: { long }, positionals: filters } = parseArgs({
  options: { long: { type: "boolean", default: false } },
  allowPositionals: true,
});
const limits = long ? LIMITS.long : LIMITS.short;

await runScript(async (signal) => {
  const names = (await readdir(FOLDER)).filter((name) => name.endsWith(".test.ts")).sort();
  const files = names.filter((name) =>
    filters.length === 0 || filters.some((filter) => name.includes(filter))
  ).map((name) => `${FOLDER}/${name}`);
  if (files.length === 0) {
    throw new Error(
      `Cannot run faults: no file under ${FOLDER} has "${filters.join('" or "')}" in its name`,
    );
  }
  if (long) process.env.CARILLON_FAULTS_LONG = "1"; // What the test files see
  const { missing, stop } = await startTestServices();
  try {
    const result = await runNode({ files, filesAtOnce: 1, timeoutMs: limits.fileMs }, signal);
    console.log("\nWhat was measured:");
    for (const line of result.figures) console.log(`  ${line}`);
    return report([result], missing);
  } finally {
    await stop();
  }
}, { limitMs: limits.runMs });
