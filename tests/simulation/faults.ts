import type { Random } from "./random.ts";

/** How likely each trouble is, where it may come. */
export type Faults = {
  /** A process dies: before an effect leaves it, or before it learns the result. */
  crash: number;
  /** A process stands still for a while, as after SIGSTOP, when it is about to learn a result. */
  pause: number;
  /** A statement fails, before it is done or after. */
  statementFails: number;
  /** The whole database is away for a while: drawn once a minute or so, as are the other outages. */
  databaseAway: number;
  hintLost: number;
  hintDoubled: number;
  publishRefused: number;
  brokerAway: number;
  brokerWiped: number;
  /** The queue cannot say how many hints are ready. */
  lengthUnknown: number;
  /** An HTTP answer does not reach who asked. */
  answerLost: number;
  /** The provider takes it, or not, and does not say. */
  unclear: number;
  /** The provider says: later. */
  retry: number;
  refused: number;
  senderUnusable: number;
  providerAway: number;
  /** The provider cannot be asked about an unclear attempt. */
  enquiryFails: number;
  /** A message that the provider took fails, and a receipt says so. */
  receiptFails: number;
  receiptLost: number;
  receiptDoubled: number;
  /** While a call is under way, what it is about changes. */
  changeMeanwhile: number;
  /** A clock of a process that is not the database's. */
  clockSkew: number;
};

const HIGHEST: Faults = {
  crash: 0.03,
  pause: 0.03,
  statementFails: 0.05,
  databaseAway: 0.4,
  hintLost: 0.5,
  hintDoubled: 0.5,
  publishRefused: 0.3,
  brokerAway: 0.4,
  brokerWiped: 0.5,
  lengthUnknown: 0.7,
  answerLost: 0.4,
  unclear: 0.5,
  retry: 0.5,
  refused: 0.3,
  senderUnusable: 0.3,
  providerAway: 0.4,
  enquiryFails: 0.5,
  receiptFails: 0.9,
  receiptLost: 0.3,
  receiptDoubled: 0.5,
  changeMeanwhile: 0.6,
  clockSkew: 0.7,
};

/** Of the seeds, those in which nothing goes wrong: what must work then has no excuse. */
const CALM_SEEDS = 0.05;
const OF_EACH_FAULT = 0.4;

/**
 * Which troubles this seed has, and how much of each. Most seeds have a few: where everything goes wrong at once
 * nothing gets far enough to go wrong in an interesting way.
 */
export function drawFaults(random: Random): Faults {
  const calm = random.chance(CALM_SEEDS);
  const drawn = Object.entries(HIGHEST).map(([name, highest]) => {
    const share = random.chance(OF_EACH_FAULT) ? random.between(0.3, 1) : 0;
    return [name, calm ? 0 : highest * share];
  });
  return Object.fromEntries(drawn) as Faults;
}

/** From here on nothing goes wrong any more. */
export function endFaults(faults: Faults): void {
  for (const name of Object.keys(faults) as (keyof Faults)[]) faults[name] = 0;
}
