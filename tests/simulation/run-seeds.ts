/** Plays every `step`th seed and writes a JSON line for each: `run-seeds.ts URL first count step limitMs defect`. */
import process from "node:process";
import { PLANTED_DEFECTS } from "./planted-defects.ts";
import { runSeed } from "./run-seed.ts";
import { connectSimulated } from "./simulated-database.ts";

const [url = "", first = "1", count = "1", step = "1", limitMs = "Infinity", name = ""] = process
  .argv.slice(2);
const defect = PLANTED_DEFECTS.find((defect) => defect.name === name);
const sql = await connectSimulated(url);
for (let index = 0; index < Number(count) && performance.now() < Number(limitMs); index += 1) {
  const { trace, ...result } = await runSeed(sql, Number(first) + index * Number(step), defect);
  // Of a seed that kept its promises nobody reads the history
  const told = result.failure === null ? [] : trace;
  process.stdout.write(`${JSON.stringify({ ...result, trace: told })}\n`);
  if (defect !== undefined && result.failure !== null) break;
}
await sql.end();
process.exit(); // What died in the simulation may have left timers
