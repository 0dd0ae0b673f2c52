import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { closeSync, openSync } from "node:fs";
import { chown, mkdtemp, readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { guardProcesses } from "./guard.ts";

/** A server of ours, with data that are thrown away. */
export type Server = {
  /** "PostgreSQL 18.1", and where it came from. */
  description: string;
  url: string;
  /** Leads the server's process group. It changes at `restart()`. */
  readonly pid: number;
  /** Ends it as a crash does. Its data stay. */
  kill: () => Promise<void>;
  /** Starts it again after `kill()`, at the same address, with the same data. */
  restart: () => Promise<void>;
  /** Ends it and removes all that it left. */
  stop: () => Promise<void>;
};

export type Command = { file: string; args: string[]; env: NodeJS.ProcessEnv };
export type User = { uid: number; gid: number };

export type Recipe = {
  description: string;
  url: string;
  user?: User | undefined;
  /** The fastest signal that ends the whole server. */
  stopSignal: "QUIT" | "KILL";
  /** Writes what the server needs to start into its folder. */
  prepare: (folder: string) => Promise<void>;
  /** The processes to start; the last is the server itself. */
  commands: (folder: string) => Command[];
  /** Rejects while the server does not answer. */
  check: () => Promise<void>;
};

const START_TIMEOUT_MS = 60_000;
const POLL_MS = 50;
const RESTART_TRIES = 20;
const RESTART_PAUSE_MS = 250;

export async function startServer(recipe: Recipe): Promise<Server> {
  const folder = await mkdtemp(join(tmpdir(), "carillon-"));
  const guard = guardProcesses({ signal: recipe.stopSignal, folder });
  let processes: ChildProcess[] = [];

  async function start(): Promise<void> {
    processes = recipe.commands(folder).map((command) => launch(command, folder, recipe.user));
    guard.watch(processes.flatMap(({ pid }) => pid ?? []));
    await untilReady(recipe, processes, folder);
  }

  try {
    if (recipe.user !== undefined) await chown(folder, recipe.user.uid, recipe.user.gid);
    await recipe.prepare(folder);
    await start();
  } catch (error) {
    await guard.end();
    throw error;
  }
  return {
    description: recipe.description,
    url: recipe.url,
    get pid() {
      return processes.at(-1)?.pid ?? 0;
    },
    kill: () => kill(processes),
    restart: () => startAgain(start),
    stop: guard.end,
  };
}

function launch({ file, args, env }: Command, folder: string, user?: User): ChildProcess {
  const output = openSync(join(folder, "output"), "a");
  const child = spawn(file, args, {
    ...user,
    cwd: folder,
    env,
    detached: true, // A process group of its own
    stdio: ["ignore", output, output],
  });
  closeSync(output);
  child.once("error", () => {}); // Shows as a process without a pid
  child.unref();
  return child;
}

async function kill(processes: ChildProcess[]): Promise<void> {
  for (const child of processes) {
    const { pid } = child;
    if (pid === undefined || hasExited(child)) continue;
    const exited = new Promise((resolve) => child.once("exit", resolve));
    child.ref();
    process.kill(-pid, "SIGKILL");
    await exited;
  }
}

/** A crashed server's last children may hold its files for a moment. */
async function startAgain(start: () => Promise<void>): Promise<void> {
  for (let tries = 1;; tries++) {
    try {
      return await start();
    } catch (error) {
      if (tries === RESTART_TRIES) throw error;
      await sleep(RESTART_PAUSE_MS);
    }
  }
}

async function untilReady(
  recipe: Recipe,
  processes: ChildProcess[],
  folder: string,
): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    try {
      return await recipe.check();
    } catch {
      const dead = processes.some(hasExited);
      if (!dead && performance.now() < deadline) {
        await sleep(POLL_MS);
        continue;
      }
    }
    const output = await readFile(join(folder, "output"), "utf8");
    const lastLines = output.trim().split("\n").slice(-5).join("\n    ");
    throw new Error(`${recipe.description} did not start:\n    ${lastLines}`);
  }
}

function hasExited(child: ChildProcess): boolean {
  return child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
}

// Below the ports that systems lend to outgoing connections, which would take a free one away again
const PORTS = [20_000, 32_000] as const;
const PORT_TRIES = 100;

/** A port of 127.0.0.1 that nobody listens on. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < PORT_TRIES; tries++) {
    const port = randomInt(...PORTS);
    if (await isFree(port)) return port;
  }
  throw new Error(
    `Cannot find a free port: ${PORT_TRIES} between ${PORTS.join(" and ")} are taken`,
  );
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}
