import { setTimeout as sleep } from "node:timers/promises";
import { type Channel, CHANNELS } from "../../src/shared/domain/delivery.ts";
import type { Queue } from "../../src/shared/messaging/queue.ts";

const PUBLISH_MAX = 5_000;
const PREFETCH = 1_000;
const WAIT_MS = 60_000;
const POLL_MS = 5;

export async function publishHints(
  queue: Queue,
  channel: Channel,
  ids: readonly string[],
): Promise<void> {
  for (let from = 0; from < ids.length; from += PUBLISH_MAX) {
    const hints = ids.slice(from, from + PUBLISH_MAX).map((deliveryId) => ({
      deliveryId,
      channel,
    }));
    const left = await queue.publish(hints);
    if (left.length > 0) throw new Error(`Wrong count: ${left.length} hints were not taken`);
  }
}

export type HintCollector = {
  /** Waits until each of `ids` has come. A hint may come twice, but none may be lost. */
  until: (ids: ReadonlySet<string>) => Promise<void>;
  stop: () => Promise<void>;
};

/** Takes hints off the queues, which the dispatcher keeps short: it publishes no more while nobody consumes. */
export async function startCollecting(queue: Queue): Promise<HintCollector> {
  const come = new Set<string>();
  const consumers = await Promise.all(CHANNELS.map((channel) =>
    queue.consume(channel, {
      prefetch: PREFETCH,
      handle: async ({ deliveryId }) => {
        come.add(deliveryId);
        return "ack";
      },
      onError: () => {},
    })
  ));
  return {
    until: async (ids) => {
      const deadline = performance.now() + WAIT_MS;
      while (!ids.isSubsetOf(come)) {
        if (performance.now() > deadline) {
          throw new Error(`Wrong count: ${ids.difference(come).size} hints did not come`);
        }
        await sleep(POLL_MS);
      }
    },
    stop: async () => void await Promise.all(consumers.map((consumer) => consumer.stop())),
  };
}

/** Takes hints off the queues until each of `ids` has come. */
export async function collectHints(queue: Queue, ids: ReadonlySet<string>): Promise<void> {
  const collector = await startCollecting(queue);
  await collector.until(ids);
  await collector.stop();
}
