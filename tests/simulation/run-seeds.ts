/** Plays seeds one after another and writes a JSON line for each: `run-seeds.ts <database URL> <first> <count> <step>`. */
import process from "node:process";
import { runSeed } from "./run-seed.ts";
import { connectSimulated } from "./simulated-database.ts";

const [url = "", first = "1", count = "1", step = "1"] = process.argv.slice(2);
const sql = await connectSimulated(url);
for (let index = 0; index < Number(count); index += 1) {
  const { trace, ...result } = await runSeed(sql, Number(first) + index * Number(step));
  const told = result.failure === null ? [] : trace;
  process.stdout.write(`${JSON.stringify({ ...result, trace: told })}\n`);
}
await sql.end();
