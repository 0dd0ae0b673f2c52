import type { Hono } from "hono";
import type { SimulatedProcess } from "./simulated-process.ts";
import type { Simulation } from "./simulation.ts";

export type Reply = { status: number; text: string };

/** Carries HTTP to whichever dispatcher is there. */
export type Network = {
  /** Null when no answer comes: it may have been done. */
  request: (path: string, init: RequestInit) => Promise<Reply | null>;
};

export type Host = { process: SimulatedProcess; routes: Hono };

const TIMEOUT_MS = 10_000;

export function createNetwork(
  { random, timeline, faults, fail }: Simulation,
  listHosts: () => readonly Host[],
): Network {
  async function answer({ process, routes }: Host, path: string, init: RequestInit) {
    const response = await routes.request(path, init);
    const text = await response.text();
    if (response.status === 500) fail(`${process.name} answered 500 to ${path}`);
    return { status: response.status, text };
  }

  return {
    request: (path, init) =>
      new Promise((resolve) => {
        timeline.after(random.between(0.5, 20), () => {
          const hosts = listHosts();
          if (hosts.length === 0) return resolve(null);
          const host = random.pick(hosts);
          host.process.reach(() =>
            void answer(host, path, init).then((reply) => {
              if (!host.process.isAlive() || random.chance(faults.answerLost)) return;
              timeline.after(random.between(0.5, 20), () => resolve(reply));
            })
          );
        });
        timeline.after(TIMEOUT_MS, () => resolve(null));
      }),
  };
}
