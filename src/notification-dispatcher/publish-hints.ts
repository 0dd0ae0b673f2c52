import { markHinted } from "../shared/database/hints.ts";
import type { Db } from "../shared/database/connect.ts";
import type { Hint, Queue } from "../shared/messaging/queue.ts";
import { describeError, type Log } from "../shared/runtime/log.ts";
import type { Instruments } from "./instruments.ts";

export type HintPublisher = {
  /** Takes hints to publish, as far as there is room, and returns at once. The relay gives the others. */
  offer: (hints: readonly Hint[]) => void;
  /** Waits until what was offered has been published or left to the relay. */
  idle: () => Promise<void>;
};

const BATCH_MAX = 200;
const BACKLOG_MAX = 10_000;
/** While one batch is marked in the ledger the next is on its way to the queue. */
const CONCURRENCY = 2;

/** Publishes the hints of what was just accepted, after its commit and without holding its answer. */
export function createHintPublisher(
  { sql, queue, instruments, log }: {
    sql: Db;
    queue: Queue;
    instruments: Instruments;
    log: Log;
  },
): HintPublisher {
  let backlog: Hint[] = [];
  const running = new Set<Promise<void>>();

  function count(outcome: string, hints: number): void {
    if (hints > 0) instruments.hints.add(hints, { source: "accept", outcome });
  }

  async function drain(): Promise<void> {
    while (backlog.length > 0) {
      const batch = backlog.splice(0, BATCH_MAX);
      try {
        const notTaken = new Set((await queue.publish(batch)).map(({ deliveryId }) => deliveryId));
        const taken = batch.map(({ deliveryId }) => deliveryId).filter((id) => !notTaken.has(id));
        count("published", taken.length);
        count("not_taken", notTaken.size);
        if (notTaken.size > 0) {
          // The queue is in trouble: the relay, which paces itself, has all of it
          count("left", backlog.length);
          backlog = [];
        }
        if (taken.length > 0) await markHinted(sql, taken);
      } catch (error) {
        // The relay hints them once more, which does no harm
        log.warn("hints were not marked", describeError(error));
      }
    }
  }

  return {
    offer: (hints) => {
      const room = hints.slice(0, BACKLOG_MAX - backlog.length);
      backlog.push(...room);
      count("left", hints.length - room.length);
      if (backlog.length === 0 || running.size >= CONCURRENCY) return;
      const work = drain().finally(() => running.delete(work));
      running.add(work);
    },
    idle: async () => {
      while (running.size > 0) await Promise.all(running);
    },
  };
}
