import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { output } from "./executables.ts";
import { guardContainer } from "./guard.ts";
import type { Server } from "./server.ts";

const ENGINES = ["docker", "podman"] as const;
const ENGINE_TIMEOUT_MS = 10_000;
const PULL_TIMEOUT_MS = 300_000;
const START_TIMEOUT_MS = 60_000;
const POLL_MS = 100;

/** The first container engine that answers, or null. */
export async function findContainerEngine(): Promise<string | null> {
  for (const engine of ENGINES) {
    try {
      await output(engine, ["info"], { timeoutMs: ENGINE_TIMEOUT_MS });
      return engine;
    } catch {
      continue; // Not installed, or installed and not running: the next one
    }
  }
  return null;
}

export async function startContainer(
  { engine, image, publish, env, args, url, check }: {
    engine: string;
    image: string;
    /** host:port:port, as --publish takes it. */
    publish: string;
    env: Record<string, string>;
    args: readonly string[];
    url: string;
    check: () => Promise<void>;
  },
): Promise<Server> {
  const name = `carillon-${randomBytes(6).toString("hex")}`;
  const guard = guardContainer({ engine, name });
  let pid = 0;

  async function ready(): Promise<void> {
    pid = Number(await output(engine, ["inspect", "--format", "{{.State.Pid}}", name]));
    const deadline = performance.now() + START_TIMEOUT_MS;
    for (;;) {
      try {
        return await check();
      } catch (error) {
        if (performance.now() > deadline) {
          throw new Error(`${image} did not answer in ${START_TIMEOUT_MS} ms`, { cause: error });
        }
        await sleep(POLL_MS);
      }
    }
  }

  try {
    const environment = Object.entries(env).flatMap(([key, value]) => ["--env", `${key}=${value}`]);
    const run = ["run", "--detach", "--name", name, "--publish", publish, ...environment];
    await output(engine, [...run, image, ...args], { timeoutMs: PULL_TIMEOUT_MS });
    await ready();
  } catch (error) {
    await guard.end();
    throw error;
  }
  return {
    description: `${image} in ${engine}`,
    url,
    get pid() {
      return pid;
    },
    kill: async () => void (await output(engine, ["kill", name])),
    restart: async () => {
      await output(engine, ["start", name]);
      await ready();
    },
    stop: guard.end,
  };
}
