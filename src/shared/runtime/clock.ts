/** Time, as an effect: a simulation brings its own. */
export type Clock = {
  /** Milliseconds since an unknown moment; it only goes forward. */
  now: () => number;
  /** Calls `work` once, that many milliseconds from now. Returns what calls it off. */
  after: (ms: number, work: () => void) => () => void;
};

export const systemClock: Clock = {
  now: () => performance.now(),
  after: (ms, work) => {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};

export async function sleep(clock: Clock, ms: number): Promise<void> {
  await new Promise<void>((resolve) => void clock.after(ms, resolve));
}
