import { unmarkHinted } from "../shared/database/hints.ts";
import type { Db } from "../shared/database/connect.ts";
import type { Channel } from "../shared/domain/delivery.ts";
import type { Hint, Queue } from "../shared/messaging/queue.ts";
import { describeError, type Log } from "../shared/runtime/log.ts";
import type { Instruments } from "./instruments.ts";
import { createQueueRoom, type QueueRoom } from "./queue-room.ts";

export type HintPublisher = {
  /** Whether a hint may go to the queue at once: to be asked before its row is stored. */
  mayOffer: (channel: Channel, options: { urgent: boolean }) => boolean;
  /** Takes hints to publish and returns at once. Their rows say that they are queued. */
  offer: (hints: readonly Hint[]) => void;
  /** To be told how many hints are left to the relay, once their rows are stored. */
  leave: (hints: number) => void;
  /** Waits until what was offered has been published or left to the relay. */
  idle: () => Promise<void>;
};

const BATCH_MAX = 200;
/** While what one batch could not bring is given back, the next is on its way to the queue. */
const CONCURRENCY = 2;
const NOT_TAKEN_PAUSE_SECONDS = 5;

/** Publishes the hints of what was just accepted, after its commit and without holding its answer. */
export function createHintPublisher(
  { sql, queue, instruments, log, room = createQueueRoom(), wakeRelay = () => {} }: {
    sql: Db;
    queue: Queue;
    instruments: Instruments;
    log: Log;
    room?: QueueRoom;
    wakeRelay?: () => void;
  },
): HintPublisher {
  const backlog: Hint[] = [];
  const running = new Set<Promise<void>>();

  function count(outcome: string, hints: number): void {
    if (hints > 0) instruments.hints.add(hints, { source: "accept", outcome });
  }

  async function drain(): Promise<void> {
    while (backlog.length > 0) {
      const batch = backlog.splice(0, BATCH_MAX);
      try {
        const notTaken = (await queue.publish(batch)).map(({ deliveryId }) => deliveryId);
        count("published", batch.length - notTaken.length);
        count("not_taken", notTaken.length);
        if (notTaken.length > 0) {
          // The queue is in trouble: the relay, which paces itself, has all of it
          count("left", backlog.length);
          backlog.length = 0;
          await unmarkHinted(sql, { ids: notTaken, pauseSeconds: NOT_TAKEN_PAUSE_SECONDS });
        }
      } catch (error) {
        // The relay hints them, perhaps once more, which does no harm
        log.warn("hints were left to the relay", describeError(error));
      }
    }
  }

  return {
    mayOffer: room.take,
    offer: (hints) => {
      backlog.push(...hints);
      if (backlog.length === 0 || running.size >= CONCURRENCY) return;
      const work = drain().finally(() => running.delete(work));
      running.add(work);
    },
    leave: (hints) => {
      count("left", hints);
      if (hints > 0) wakeRelay();
    },
    idle: async () => {
      while (running.size > 0) await Promise.all(running);
    },
  };
}
