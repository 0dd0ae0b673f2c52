import { setTimeout as sleep } from "node:timers/promises";
import { type Deployment, REPLICATED } from "./deployment.ts";
import { residentMiB } from "./resident-memory.ts";

const PAUSE_MS = 500;

export type Watch = {
  /** Stops looking. Returns the most that a process of each service has held of memory, in MiB. */
  stop: () => Promise<Record<string, number>>;
};

/** Looks at the memory of all replicas now and then, and calls `look` as often. */
export function watchProcesses(deployment: Deployment, look: () => Promise<void>): Watch {
  const most: Record<string, number> = {};
  let going = true;

  async function run(): Promise<void> {
    while (going) {
      for (const name of REPLICATED) {
        for (const { pid } of deployment.replicas(name)) {
          most[name] = Math.max(most[name] ?? 0, await residentMiB(pid));
        }
      }
      await look();
      await sleep(PAUSE_MS);
    }
  }

  const done = run();
  return {
    stop: async () => {
      going = false;
      await done;
      return most;
    },
  };
}
