import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { after } from "node:test";
import { fileURLToPath } from "node:url";
import { guardProcesses } from "../../scripts/services/guard.ts";
import { freePort } from "../../scripts/services/server.ts";
import { eventually } from "./eventually.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** `deno serve` runs the module's default export; the other two run main.ts as a program. */
export type Runtime = "node" | "deno" | "deno serve";

export type RunningProcess = {
  pid: number;
  /** All that it has written so far, both streams. */
  output: () => string;
  signal: (name: NodeJS.Signals) => void;
  /** The exit code; null when a signal ended it. */
  exited: Promise<number | null>;
};

export type RunningService = RunningProcess & { url: string };

type Options = { runtime?: Runtime; environment: Record<string, string | undefined> };

/** Starts `src/<name>/main.ts` on a free port and waits until it is ready. It ends after the test that asked for it. */
export async function startService(
  name: string,
  { runtime = "node", environment }: Options,
): Promise<RunningService> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const command = commandOf(name, runtime, port);
  const running = startProcess(command, { ...environment, PORT: `${port}` });
  let ended = false;
  void running.exited.then(() => ended = true);
  await eventually(`${name} is ready`, async () => {
    if (ended) throw new Error(`${name} ended before it was ready:\n${running.output()}`);
    return await fetch(`${url}/readyz`).then(({ ok, body }) => {
      void body?.cancel();
      return ok;
    }, () => false);
  }, { timeoutMs: 30_000 });
  return { ...running, url };
}

/** Runs `src/<name>/main.ts` to its end. */
export async function runJob(
  name: string,
  { runtime = "node", environment }: Options,
): Promise<{ code: number | null; output: string }> {
  const running = startProcess(commandOf(name, runtime, 0), environment);
  const code = await running.exited;
  return { code, output: running.output() };
}

/** Starts a program with this environment and no other. It ends after the test that asked for it, or with this process. */
export function startProcess(
  [file, ...args]: readonly [string, ...string[]],
  environment: Record<string, string | undefined>,
): RunningProcess {
  const { PATH, HOME, TMPDIR } = process.env;
  const child = spawn(file, args, {
    cwd: ROOT,
    env: { PATH, HOME, TMPDIR, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true, // A process group of its own, for the guard
  });
  const guard = guardProcesses({ signal: "KILL" });
  guard.watch(child.pid === undefined ? [] : [child.pid]);
  after(() => guard.end());

  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => output += text);
  }
  return {
    pid: child.pid ?? 0,
    output: () => output,
    signal: (name) => void child.kill(name),
    exited: exitCode(child),
  };
}

async function exitCode(child: ChildProcess): Promise<number | null> {
  const [code] = await once(child, "close");
  return code;
}

function commandOf(name: string, runtime: Runtime, port: number): readonly [string, ...string[]] {
  const main = `src/${name}/main.ts`;
  switch (runtime) {
    case "node":
      return ["node", "--import", "tsx", main];
    case "deno":
      return ["deno", "run", "--allow-all", "--no-check", main];
    case "deno serve":
      return ["deno", "serve", "--allow-all", "--no-check", "--port", `${port}`, main];
  }
}
