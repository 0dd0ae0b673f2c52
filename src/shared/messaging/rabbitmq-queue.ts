import { setTimeout as sleep } from "node:timers/promises";
import type { AMQPClient } from "@cloudamqp/amqp-client";
import type { Channel } from "../domain/delivery.ts";
import type { Log } from "../runtime/log.ts";
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
  let closed = false;

  async function repairOnce(client: AMQPClient): Promise<void> {
    await repairTopology(client, topology, options.log);
    repair = undefined;
  }

  const connection = await keepConnected(url, {
    ...options,
    prepare: async (client) => {
      await ensureTopology(client, topology);
      publisher = await openPublisher(client, {
        exchange: topology.exchange.name,
        onReturned: () => repair ??= repairOnce(client),
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

  async function check(): Promise<void> {
    const client = connection.client();
    if (client === null) throw connection.failure();
    await checkClient(client, topology);
  }

  async function close(): Promise<void> {
    closed = true;
    await Promise.all([...consumers].map((consumer) => consumer.stop()));
    await publisher?.idle();
    await connection.close();
  }

  return { publish, consume, ready, check, close };
}

/** A hint found no queue: since the connection was made, the queue or its binding has been deleted. Never rejects. */
async function repairTopology(client: AMQPClient, topology: Topology, log: Log): Promise<void> {
  try {
    await ensureTopology(client, topology, { rebind: true });
  } catch (error) {
    log.error("hints find no queue", { reason: (error as Error).message });
  }
  await sleep(REPAIR_PAUSE_MS, undefined, { ref: false });
}

async function checkClient(client: AMQPClient, topology: Topology): Promise<void> {
  if (client.blocked !== undefined) {
    throw new Error(`Cannot publish hints: RabbitMQ is ${client.blocked}`);
  }
  await checkTopology(client, topology);
}
