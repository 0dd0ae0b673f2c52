import { execFile } from "node:child_process";
import { promisify } from "node:util";

const KIB = 1_024;

/** What a process holds of the machine's memory now, in MiB. */
export async function residentMiB(pid: number): Promise<number> {
  const { stdout } = await promisify(execFile)("ps", ["-o", "rss=", "-p", `${pid}`]);
  return Math.round(Number(stdout) / KIB);
}
