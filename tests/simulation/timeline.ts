/** Simulated time, in microseconds since 1970, and what is to happen in it. Nothing else makes time pass. */
export type Timeline = {
  now: () => number;
  date: () => Date;
  /** Has `work` done that many milliseconds from now. Returns what calls it off. */
  after: (ms: number, work: Work) => () => void;
  /** When the next thing happens; Infinity when nothing does. */
  nextAt: () => number;
  /** Goes to the next thing that happens, and waits for it. */
  step: () => Promise<void>;
  /** Goes to a moment before the next thing that happens. */
  moveTo: (time: number) => void;
};
type Work = () => void | Promise<void>;

type Event = { at: number; order: number; work: Work };

export function createTimeline(start: Date): Timeline {
  let now = start.getTime() * 1_000;
  let order = 0;
  const events: Event[] = []; // The soonest is the last

  return {
    now: () => now,
    date: () => new Date(now / 1_000),
    after: (ms, work) => {
      // No two things happen at once: time goes on by a microsecond at least
      const event = { at: now + Math.max(Math.round(ms * 1_000), 1), order: order += 1, work };
      const place = events.findLastIndex((other) => isSooner(event, other)) + 1;
      events.splice(place, 0, event);
      return () => {
        const index = events.indexOf(event);
        if (index !== -1) events.splice(index, 1);
      };
    },
    nextAt: () => events.at(-1)?.at ?? Infinity,
    step: async () => {
      const event = events.pop();
      if (event === undefined) return;
      now = Math.max(event.at, now + 1);
      await event.work();
    },
    moveTo: (time) => now = Math.max(now + 1, time),
  };
}

function isSooner(event: Event, other: Event): boolean {
  return event.at < other.at || (event.at === other.at && event.order < other.order);
}
