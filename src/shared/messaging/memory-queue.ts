import type { Channel } from "../domain/delivery.ts";
import type { ConsumeOptions, Consumer, Hint, Queue } from "./queue.ts";

const LENGTH_MAX = 10_000;

/** Carries hints within one process. They end with it: the ledger gives them again. */
export function createMemoryQueue(
  { lengthMax = LENGTH_MAX }: { lengthMax?: number } = {},
): Queue {
  const lanes: Record<Channel, Lane> = {
    email: createLane(lengthMax),
    sms: createLane(lengthMax),
  };
  let closed = false;

  return {
    publish: async (hints) =>
      closed ? [...hints] : hints.filter((hint) => !lanes[hint.channel].put(hint)),
    consume: async (channel, options) => {
      if (closed) throw new Error(`Cannot consume ${channel}: the queue is closed`);
      return lanes[channel].consume(options);
    },
    ready: async (channel) => closed ? null : lanes[channel].length(),
    check: async () => {
      if (closed) throw new Error("Cannot exchange hints: the queue is closed");
    },
    close: async () => {
      closed = true;
      await Promise.all(Object.values(lanes).map((lane) => lane.stop()));
    },
  };
}

type Lane = {
  /** False when the lane is full. */
  put: (hint: Hint) => boolean;
  consume: (options: ConsumeOptions) => Consumer;
  length: () => number;
  stop: () => Promise<void>;
};

type Hands = ConsumeOptions & { inHand: Set<Promise<void>> };

function createLane(lengthMax: number): Lane {
  const waiting: Hint[] = [];
  const consumers = new Set<Hands>();

  function handOut(): void {
    while (waiting.length > 0) {
      const consumer = [...consumers].find(({ inHand, prefetch }) => inHand.size < prefetch);
      if (consumer === undefined) return;
      // To the end of the line: consumers take turns
      consumers.delete(consumer);
      consumers.add(consumer);
      give(consumer, waiting.shift() as Hint);
    }
  }

  function give(consumer: Hands, hint: Hint): void {
    const work = settle(consumer, hint).finally(() => {
      consumer.inHand.delete(work);
      handOut();
    });
    consumer.inHand.add(work);
  }

  async function stop(consumer: Hands): Promise<void> {
    consumers.delete(consumer);
    await Promise.all(consumer.inHand);
  }

  return {
    put: (hint) => {
      if (waiting.length >= lengthMax) return false;
      waiting.push(hint);
      handOut();
      return true;
    },
    consume: (options) => {
      const consumer: Hands = { ...options, inHand: new Set() };
      consumers.add(consumer);
      handOut();
      return { stop: () => stop(consumer) };
    },
    length: () => waiting.length,
    stop: async () => void await Promise.all([...consumers].map(stop)),
  };
}

/** Either verdict takes the hint off the queue: here nobody would look at dead ones. */
async function settle({ handle, onError }: ConsumeOptions, hint: Hint): Promise<void> {
  await Promise.resolve(); // The publisher must not run the handler
  try {
    await handle(hint);
  } catch (error) {
    onError(error);
  }
}
