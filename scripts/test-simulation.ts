/** Plays seeds of the simulation: `npm run test:simulation -- --seed 7` one of them, with `--seeds 5000` as many from there on. */
import process from "node:process";
import { parseArgs } from "node:util";
import { report, runNode, runScript, startTestServices } from "./run-tests.ts";

const LIMIT_MS = 12 * 3_600_000;

const { values: { seed, seeds } } = parseArgs({
  options: { seed: { type: "string" }, seeds: { type: "string" } },
});
for (const [name, value] of Object.entries({ seed, seeds })) {
  if (value !== undefined && !/^[1-9]\d{0,8}$/.test(value)) {
    throw new Error(`Cannot use --${name}=${value}: expected a number from 1 on`);
  }
}

await runScript(async (signal) => {
  // What the test file sees
  process.env.CARILLON_SIMULATION_SEED = seed ?? "1";
  process.env.CARILLON_SIMULATION_SEEDS = seeds ?? "1";
  const { missing, stop } = await startTestServices();
  try {
    const files = ["tests/simulation/simulation.test.ts"];
    return report([await runNode({ files, filesAtOnce: 1, timeoutMs: LIMIT_MS }, signal)], missing);
  } finally {
    await stop();
  }
}, { limitMs: LIMIT_MS });
