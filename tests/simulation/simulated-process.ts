import type { Clock } from "../../src/shared/runtime/clock.ts";
import type { Log } from "../../src/shared/runtime/log.ts";
import type { Simulation } from "./simulation.ts";

/**
 * What runs our code: it has effects, and at each of them it can die or stand still.
 *
 * After its death nothing of it goes on: what it waited for never comes. What had left it by then takes place all the
 * same, as bytes do that are on the wire.
 */
export type SimulatedProcess = {
  name: string;
  isAlive: () => boolean;
  isPaused: () => boolean;
  die: () => void;
  /** A moment at which it dies, if the seed will have it. */
  mayDie: () => void;
  pause: (ms: number) => void;
  /** An effect on the world outside. */
  effect: <Result>(
    what: string,
    work: () => Promise<Result> | Result,
    options?: { travelMs?: number; answerMs?: (result: Result) => number },
  ) => Promise<Result>;
  /** Lets something reach the process from outside: at once, when it goes on, or never. */
  reach: (work: () => void) => void;
  clock: Clock;
  /** Its own idea of what time it is. */
  wallClock: () => Date;
  log: Log;
};

/** Shorter than what a call may wait, than a lease, and longer. */
const PAUSE_MS = [500, 20_000, 35_000, 70_000, 130_000, 150_000, 200_000, 900_000] as const;
const SKEW_MS = 2_000;

export function createProcess(
  simulation: Simulation,
  { name, onDeath, onTrouble }: {
    name: string;
    onDeath: (process: SimulatedProcess) => void;
    /** What it has in hand may go unrecorded. */
    onTrouble: (process: SimulatedProcess) => void;
  },
): SimulatedProcess {
  const { random, timeline, faults, trace } = simulation;
  const skewMs = random.chance(faults.clockSkew) ? random.between(-SKEW_MS, SKEW_MS) : 0;
  let alive = true;
  let paused = false;
  let held: (() => void)[] = [];

  function reach(work: () => void): void {
    if (!alive) return;
    if (paused) held.push(work);
    else work();
  }

  function resume(): void {
    trace(name, "goes on");
    paused = false;
    const works = held;
    held = [];
    for (const work of works) reach(work);
  }

  const process: SimulatedProcess = {
    name,
    isAlive: () => alive,
    isPaused: () => paused,
    die: () => {
      if (!alive) return;
      trace(name, "dies");
      alive = false;
      onTrouble(process);
      onDeath(process);
    },
    mayDie: () => {
      if (random.chance(faults.crash / 2)) process.die();
    },
    pause: (ms) => {
      if (!alive || paused) return;
      trace(name, `stands still for ${Math.round(ms)} ms`);
      paused = true;
      onTrouble(process);
      timeline.after(ms, resume);
    },
    effect: (what, work, { travelMs = latency(simulation), answerMs } = {}) =>
      new Promise((resolve, reject) => {
        process.mayDie();
        if (!alive) return;
        timeline.after(travelMs, async () => {
          let settle: () => void;
          let delayMs = latency(simulation);
          try {
            const result = await work();
            delayMs = answerMs?.(result) ?? delayMs;
            trace(name, what);
            settle = () => resolve(result);
          } catch (error) {
            trace(name, `${what}: fails`);
            onTrouble(process);
            settle = () => reject(error);
          }
          process.mayDie();
          if (random.chance(faults.pause)) process.pause(random.pick(PAUSE_MS));
          if (alive) timeline.after(delayMs, () => reach(settle));
        });
      }),
    reach,
    clock: {
      now: () => timeline.now() / 1_000,
      after: (ms, work) => timeline.after(ms, () => reach(work)),
    },
    wallClock: () => new Date(timeline.now() / 1_000 + skewMs),
    log: createProcessLog(simulation, name),
  };
  return process;
}

/** Mostly a millisecond or so; now and then much longer. */
function latency({ random }: Simulation): number {
  return random.chance(0.02) ? random.between(100, 3_000) : random.between(0.1, 4);
}

/** What our code reports as its own surprise is one for the simulation too. */
function createProcessLog({ trace, fail }: Simulation, name: string): Log {
  const at = (level: string): Log["info"] => (message, fields = {}) => {
    trace(name, `${level}: ${message} ${fields.error ?? ""} ${fields.code ?? ""}`);
    const isOurs = fields.error !== undefined && !String(fields.code).startsWith(INJECTED);
    if (isOurs) fail(`${name} met an error: ${message} ${JSON.stringify(fields)}`);
  };
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

/** Codes that the code under test takes for a database or a network that is away. */
const INJECTED = "ECONNRESET";

/** A failure that the simulation made. */
export function injectedError(): Error {
  return Object.assign(new Error("simulated"), { code: INJECTED });
}

export function isInjected(error: unknown): boolean {
  return (error as { code?: unknown }).code === INJECTED;
}
