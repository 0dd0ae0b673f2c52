import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { z } from "zod";

/** What many seeds came to. */
export type Campaign = {
  seeds: number;
  seconds: number;
  failures: { seed: number; failure: string; trace: string[] }[];
  /** How many seeds saw each change of status. */
  transitions: ReadonlyMap<string, number>;
  counts: {
    requested: number;
    accepted: number;
    arrived: number;
    recovered: number;
    repeated: number;
  };
};

const Result = z.object({
  seed: z.int(),
  failure: z.string().nullable(),
  trace: z.array(z.string()),
  transitions: z.array(z.string()),
  counts: z.object({
    requested: z.int(),
    accepted: z.int(),
    arrived: z.int(),
    recovered: z.int(),
    repeated: z.int(),
  }),
});

const PLAYER = fileURLToPath(new URL("run-seeds.ts", import.meta.url));

/** Plays seeds in a process for each database, until they are all played or the time is over. */
export async function runCampaign(
  { urls, first, count, limitMs, defect }: {
    urls: readonly string[];
    first: number;
    count: number;
    limitMs: number;
    /** The name of a planted defect. */
    defect?: string;
  },
): Promise<Campaign> {
  const startedAt = performance.now();
  const failures: Campaign["failures"] = [];
  const transitions = new Map<string, number>();
  const counts = { requested: 0, accepted: 0, arrived: 0, recovered: 0, repeated: 0 };
  let seeds = 0;

  async function play(url: string, index: number): Promise<void> {
    const share = Math.ceil((count - index) / urls.length);
    const args = [url, first + index, share, urls.length, limitMs, defect ?? ""].map(String);
    const player = spawn(process.execPath, ["--import", "tsx", PLAYER, ...args], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const ended = new Promise<number | null>((resolve) => player.once("close", resolve));
    for await (const line of createInterface({ input: player.stdout })) {
      const result = Result.parse(JSON.parse(line));
      seeds += 1;
      const { seed, failure, trace } = result;
      if (failure !== null) failures.push({ seed, failure, trace });
      for (const transition of result.transitions) {
        transitions.set(transition, (transitions.get(transition) ?? 0) + 1);
      }
      for (const name of Object.keys(counts) as (keyof typeof counts)[]) {
        counts[name] += result.counts[name];
      }
    }
    const code = await ended;
    if (code !== 0) {
      throw new Error(`Cannot go on with the simulation: its process ended with ${code}`);
    }
  }

  await Promise.all(urls.map(play));
  const seconds = (performance.now() - startedAt) / 1_000;
  return { seeds, seconds, failures, transitions, counts };
}
