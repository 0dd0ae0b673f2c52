import type { AMQPChannel, AMQPClient, AMQPConsumer, AMQPMessage } from "@cloudamqp/amqp-client";
import type { Channel } from "../domain/delivery.ts";
import { decodeHint } from "./hint.ts";
import type { ConsumeOptions, Consumer, Hint, Verdict } from "./queue.ts";
import { type Acks, createAcks } from "./rabbitmq-acks.ts";
import { closeChannel, dropConnection, inTime } from "./rabbitmq-connection.ts";

/** A consumer outlives its connections: it is to be started again on each new one. */
export type RabbitMqConsumer = Consumer & {
  /** Never rejects: where it cannot start it ends the connection, and the next one gets it. */
  start: (client: AMQPClient) => Promise<void>;
};

type Subscription = { channel: AMQPChannel; consumer: AMQPConsumer; acks: Acks };
type Delivery = { message: AMQPMessage; acks: Acks };

export function createRabbitMqConsumer(
  source: { queue: string; channel: Channel },
  options: ConsumeOptions,
): RabbitMqConsumer {
  const { prefetch } = options;
  const inHand = new Set<Promise<void>>();
  /** Beyond `prefetch`: what came after a reconnect, while the hints of the old connection are still in hand. */
  const waiting: Delivery[] = [];
  let subscription: Subscription | undefined;
  let starting = Promise.resolve();
  let stopped: Promise<void> | undefined;

  async function subscribe(client: AMQPClient): Promise<void> {
    try {
      subscription = await openSubscription(client, { queue: source.queue, prefetch, receive });
      // The queue was deleted, or the broker closed the channel
      subscription.consumer.wait().catch(({ message }: Error) => dropConnection(client, message));
    } catch (error) {
      dropConnection(client, (error as Error).message);
    }
  }

  function receive(delivery: Delivery): void {
    delivery.acks.expect(delivery.message.deliveryTag);
    if (stopped !== undefined) giveBack(delivery);
    else if (inHand.size >= prefetch) waiting.push(delivery);
    else take(delivery);
  }

  function take(delivery: Delivery): void {
    const work = settle(delivery, source.channel, options).finally(() => {
      inHand.delete(work);
      takeNext();
    });
    inHand.add(work);
  }

  function takeNext(): void {
    let next = waiting.shift();
    while (next?.message.channel.closed) next = waiting.shift(); // The broker gives it again
    if (next !== undefined) take(next);
  }

  /** The order matters: closing the channel first loses the acks, and what was sent is handed out a second time. */
  async function drain(): Promise<void> {
    await starting;
    for (const delivery of waiting.splice(0)) giveBack(delivery);
    subscription?.acks.hold();
    if (subscription !== undefined && !subscription.channel.closed) {
      await inTime(subscription.channel.basicCancel(subscription.consumer.tag)).catch(() => {});
    }
    await Promise.all(inHand);
    subscription?.acks.flush();
    if (subscription !== undefined) await closeChannel(subscription.channel);
  }

  return {
    start: (client) => {
      if (stopped === undefined) starting = subscribe(client);
      return starting;
    },
    stop: () => stopped ??= drain(),
  };
}

async function openSubscription(
  client: AMQPClient,
  { queue, prefetch, receive }: {
    queue: string;
    prefetch: number;
    receive: (delivery: Delivery) => void;
  },
): Promise<Subscription> {
  const channel = await inTime(client.channel());
  const acks = createAcks(channel);
  await inTime(channel.basicQos(prefetch));
  const consumer = await inTime(
    channel.basicConsume(queue, { noAck: false }, (message) => receive({ message, acks })),
  );
  return { channel, consumer, acks };
}

async function settle(
  { message, acks }: Delivery,
  channel: Channel,
  options: ConsumeOptions,
): Promise<void> {
  const hint = decodeHint(channel, message.body ?? new Uint8Array());
  const verdict = hint === null ? "dead" : await judge(hint, options);
  if (verdict === "ack") acks.ack(message.deliveryTag);
  else acks.refuse(message.deliveryTag, { requeue: false });
}

async function judge(hint: Hint, { handle, onError }: ConsumeOptions): Promise<Verdict> {
  try {
    return await handle(hint);
  } catch (error) {
    onError(error);
    return "ack";
  }
}

function giveBack({ message, acks }: Delivery): void {
  acks.refuse(message.deliveryTag, { requeue: true });
}
