import { spawn } from "node:child_process";
import process from "node:process";

export type Guard = {
  /** Says which process groups are to be ended now, in place of those named before. */
  watch: (groups: readonly number[]) => void;
  /** Ends what is guarded and waits until it has gone. */
  end: () => Promise<void>;
};

/** Ends the process groups named last, then removes the folder: `sh -c … guard SIGNAL FOLDER`. */
const END_PROCESSES = `
for group in $groups; do kill -s "$1" -- "-$group" 2>/dev/null; done
tries=0
while [ "$tries" -lt 100 ]; do
  alive=
  for group in $groups; do kill -s 0 -- "-$group" 2>/dev/null && alive=yes; done
  [ -z "$alive" ] && break
  tries=$((tries + 1))
  sleep 0.1
done
for group in $groups; do kill -s KILL -- "-$group" 2>/dev/null; done
[ -z "$2" ] || rm -rf -- "$2"
`;

/**
 * Guards process groups and a folder of temporary files.
 *
 * The guard is a shell that acts when its standard input closes. That happens at `end()`, and also when this process
 * dies in whatever way, `kill -9` included, so that nothing stays behind an interrupted run.
 */
export function guardProcesses(
  { signal, folder = "" }: { signal: "TERM" | "QUIT" | "KILL"; folder?: string },
): Guard {
  return startGuard(END_PROCESSES, [signal, folder]);
}

/** As `guardProcesses`, for a container. */
export function guardContainer({ engine, name }: { engine: string; name: string }): Guard {
  return startGuard(`"$1" rm --force --volumes "$2"`, [engine, name]);
}

function startGuard(script: string, args: readonly string[]): Guard {
  const shell = spawn(
    "sh",
    ["-c", `groups=\nwhile read -r line; do groups=$line; done\n${script}`, "guard", ...args],
    // A group of its own: Ctrl-C must not end it before what it guards
    { detached: true, stdio: ["pipe", "ignore", "ignore"], cwd: "/", env: process.env },
  );
  const ended = new Promise<void>((resolve) => shell.once("exit", () => resolve()));
  shell.unref();
  shell.stdin.on("error", () => {}); // The shell went first: then there is nothing to tell it
  return {
    watch: (groups) => void shell.stdin.write(`${groups.join(" ")}\n`),
    end: async () => {
      shell.ref();
      shell.stdin.end();
      await ended;
    },
  };
}
