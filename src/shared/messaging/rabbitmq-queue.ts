import { setTimeout as sleep } from "node:timers/promises";
import type { AMQPClient } from "@cloudamqp/amqp-client";
import type { Channel } from "../domain/delivery.ts";
import { checkTopology, countReady, ensureTopology } from "./ensure-topology.ts";
import type { ConsumeOptions, Consumer, Hint, Queue } from "./queue.ts";
import { type ConnectionOptions, dropConnection, keepConnected } from "./rabbitmq-connection.ts";
import { createRabbitMqConsumer, type RabbitMqConsumer } from "./rabbitmq-consumer.ts";
import { openPublisher, type Publisher } from "./rabbitmq-publisher.ts";
import { createTopology, type Topology } from "./topology.ts";

const REPAIR_PAUSE_MS = 1_000;

export type RabbitMqOptions = ConnectionOptions & {
  /** Begins the names of the exchange and its queues. */
  prefix?: string | undefined;
};

/** Rejects when there is no connection in time. One that is lost later comes back by itself, with its consumers. */
export async function connectRabbitMq(
  url: string,
  { prefix, ...options }: RabbitMqOptions,
): Promise<Queue> {
  const topology = createTopology(prefix);
  const consumers = new Set<RabbitMqConsumer>();
  let publisher: Publisher | undefined;
  let repair: Promise<void> | undefined;
  let trouble: string | null = null;
  let closed = false;

  /** Since the connection was made, a queue, the exchange or a binding has been deleted. One repair at a time. */
  function repairSoon(client: AMQPClient): void {
    repair ??= repairOnce(client).finally(() => repair = undefined);
  }

  async function repairOnce(client: AMQPClient): Promise<void> {
    // First the broker must have told all consumers of a deleted queue: those it has not told yet would be taken for
    // consumers of the new one, and what it gives them arrives nowhere
    await sleep(REPAIR_PAUSE_MS, undefined, { ref: false });
    if (connection.client() !== client) return; // The next connection has made what was missing
    const reason = await repairTopology(client, topology);
    // Once for each trouble: who may not repair it tries again and again
    if (reason !== null && reason !== trouble) options.log.error("hints find no queue", { reason });
    trouble = reason;
  }

  const connection = await keepConnected(url, {
    ...options,
    prepare: async (client) => {
      await ensureTopology(client, topology);
      publisher = await openPublisher(client, {
        exchange: topology.exchange.name,
        onReturned: () => repairSoon(client),
        onLost: (reason) => dropConnection(client, reason),
      });
    },
    start: (client) => {
      for (const consumer of consumers) void consumer.start(client);
    },
  });

  async function publish(hints: readonly Hint[]): Promise<Hint[]> {
    if (closed || publisher === undefined) return [...hints];
    return await publisher.publish(hints);
  }

  async function consume(channel: Channel, consumeOptions: ConsumeOptions): Promise<Consumer> {
    const queue = topology.workQueues[channel].name;
    if (closed) throw new Error(`Cannot consume ${queue}: the connection is closed`);
    const consumer = createRabbitMqConsumer({ queue, channel }, consumeOptions);
    consumers.add(consumer);
    const client = connection.client();
    if (client !== null) await consumer.start(client);
    return {
      stop: async () => {
        await consumer.stop();
        consumers.delete(consumer);
      },
    };
  }

  async function ready(channel: Channel): Promise<number | null> {
    const client = connection.client();
    if (client === null) return null;
    return await countReady(client, topology.workQueues[channel]).catch(() => null);
  }

  async function check(channel?: Channel): Promise<void> {
    const client = connection.client();
    if (client === null) throw connection.failure();
    if (client.blocked !== undefined) {
      throw new Error(`Cannot publish hints: RabbitMQ is ${client.blocked}`);
    }
    try {
      await checkTopology(client, topology, { channel });
    } catch (error) {
      repairSoon(client); // Whoever publishes nothing while it is missing gets no hint back either
      throw error;
    }
  }

  async function close(): Promise<void> {
    closed = true;
    await Promise.all([...consumers].map((consumer) => consumer.stop()));
    await publisher?.idle();
    await connection.close();
  }

  return { publish, consume, ready, check, close };
}

/** Returns why it cannot be repaired, or null. Never rejects. */
async function repairTopology(client: AMQPClient, topology: Topology): Promise<string | null> {
  try {
    await ensureTopology(client, topology, { rebind: true });
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}
