import type { AMQPClient } from "@cloudamqp/amqp-client";
import { encodeHint } from "./hint.ts";
import type { Hint } from "./queue.ts";
import { inTime } from "./rabbitmq-connection.ts";

const PERSISTENT = 2;

export type ConfirmChannel = {
  /** Whether hints can be sent now. */
  open: () => boolean;
  /** How many hints await the broker's word. */
  inFlight: () => number;
  /** Only while the channel is open. `settle` is called when the broker says whether it has taken the hint. */
  send: (hint: Hint, settle: (taken: boolean) => void) => void;
};

/**
 * A channel that keeps its own account of confirms.
 *
 * In the library's account a message that found no queue is confirmed like any other; and when the channel closes
 * before a message is written, its promise is rejected before anyone could handle that, which ends the process.
 */
export async function openConfirmChannel(
  client: AMQPClient,
  { exchange, onReturned, onConfirmed, onLost }: {
    exchange: string;
    onReturned: () => void;
    onConfirmed: () => void;
    onLost: (reason: string) => void;
  },
): Promise<ConfirmChannel> {
  const channel = await inTime(client.channel());
  await inTime(channel.confirmSelect());
  Object.assign(channel, { confirmId: 0 }); // Not in the library's types. With 0 it makes no promises

  const unconfirmed = new Map<number, (taken: boolean) => void>();
  const returned = new Set<number>();
  let sequence = 0;

  function confirm(number: number, accepted: boolean): void {
    const settle = unconfirmed.get(number);
    unconfirmed.delete(number);
    const wasReturned = returned.delete(number);
    settle?.(accepted && !wasReturned);
  }

  channel.onReturn = ({ properties }) => {
    returned.add(Number(properties.messageId)); // Its confirm follows
    onReturned();
  };
  channel.publishConfirmed = (number, multiple, rejected) => {
    const numbers = multiple
      ? [...unconfirmed.keys()].filter((other) => other <= number)
      : [number];
    for (const one of numbers) confirm(one, !rejected);
    onConfirmed();
  };
  channel.onerror = onLost;

  return {
    open: () => !channel.closed && client.blocked === undefined,
    inFlight: () => unconfirmed.size,
    send: (hint, settle) => {
      sequence += 1;
      unconfirmed.set(sequence, settle);
      const properties = {
        contentType: "application/json",
        deliveryMode: PERSISTENT,
        messageId: String(sequence),
      };
      // Mandatory: without a queue it comes back
      channel.basicPublish(exchange, hint.channel, encodeHint(hint), properties, true)
        .catch(() => {}); // Then the connection is lost, and onLost says so
    },
  };
}
