import type { AMQPChannel } from "@cloudamqp/amqp-client";

/** Settles the messages of one channel. When the channel is closed it does nothing: the broker gives them again. */
export type Acks = {
  /** To be called for every message, in the order in which they come. */
  expect: (deliveryTag: number) => void;
  ack: (deliveryTag: number) => void;
  /** Requeues the message, or hands it to the dead-letter exchange. */
  refuse: (deliveryTag: number, options: { requeue: boolean }) => void;
  /** Keeps all further acks until `flush()`. */
  hold: () => void;
  flush: () => void;
};

/**
 * Merges the acks of one turn of the event loop: half the work for the broker.
 *
 * A quorum queue takes in 32 acks; what the channel sends beyond that waits in the broker and is lost when the channel
 * closes. So whoever wants to close holds all acks back and sends them as the one that they then are.
 */
export function createAcks(channel: AMQPChannel): Acks {
  const unsettled = new Set<number>();
  let done: number[] = [];
  let timer: NodeJS.Immediate | undefined;
  let holding = false;

  function flush(): void {
    clearImmediate(timer);
    timer = undefined;
    const tags = done;
    done = [];
    if (channel.closed) return;
    const [lowestUnsettled = Infinity] = unsettled;
    const last = Math.max(...tags.filter((tag) => tag < lowestUnsettled));
    for (const tag of tags) {
      // One ack for `last` and all before it; whatever overtook an unsettled message needs its own
      if (tag >= last) channel.basicAck(tag, tag === last).catch(() => {});
    }
  }

  return {
    expect: (tag) => unsettled.add(tag),
    ack: (tag) => {
      unsettled.delete(tag);
      done.push(tag);
      if (!holding) timer ??= setImmediate(flush);
    },
    refuse: (tag, { requeue }) => {
      unsettled.delete(tag);
      channel.basicNack(tag, requeue).catch(() => {});
    },
    hold: () => {
      flush();
      holding = true;
    },
    flush,
  };
}
