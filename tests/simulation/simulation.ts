import type { Faults } from "./faults.ts";
import type { Random } from "./random.ts";
import type { Timeline } from "./timeline.ts";

/** What everything in one seed shares. */
export type Simulation = {
  random: Random;
  timeline: Timeline;
  faults: Faults;
  /** Notes a thing that happened, for whoever reads how it came to a failure. */
  trace: (who: string, what: string) => void;
  /** Notes that a promise was broken. The first counts. */
  fail: (what: string) => void;
};
