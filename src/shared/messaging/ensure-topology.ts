import type { AMQPChannel, AMQPClient } from "@cloudamqp/amqp-client";
import type { Channel } from "../domain/delivery.ts";
import { withChannel } from "./rabbitmq-connection.ts";
import { allQueues, queueArguments, type QueueDescription, type Topology } from "./topology.ts";

const ACCESS_REFUSED = "403";
const NOT_FOUND = "404";

/**
 * Declares what is missing and leaves alone what exists: in the cluster the topology is declared in Git, with policies
 * in place of arguments, and the services may not declare anything.
 *
 * The broker does not tell which bindings exist. Those of what was just declared are made; `rebind` makes them all.
 */
export async function ensureTopology(
  client: AMQPClient,
  topology: Topology,
  { rebind = false }: { rebind?: boolean } = {},
): Promise<void> {
  const { exchange } = topology;
  let bind = rebind;
  if (!await exchangeExists(client, topology)) {
    bind = true;
    await declare(
      client,
      `exchange ${exchange.name}`,
      (channel) =>
        channel.exchangeDeclare(exchange.name, exchange.type, { durable: exchange.durable }),
    );
  }
  for (const queue of allQueues(topology)) {
    const missing = await countReady(client, queue) === null;
    if (missing) {
      await declare(
        client,
        `queue ${queue.name}`,
        (channel) =>
          channel.queueDeclare(queue.name, { durable: queue.durable }, queueArguments(queue)),
      );
    }
    if (missing || bind) {
      await withChannel(
        client,
        (channel) => channel.queueBind(queue.name, exchange.name, queue.routingKey),
      );
    }
  }
}

/** Rejects when a part of the topology, or of what one channel's hints need, is missing. Declares nothing. */
export async function checkTopology(
  client: AMQPClient,
  topology: Topology,
  { channel }: { channel?: Channel | undefined } = {},
): Promise<void> {
  if (!await exchangeExists(client, topology)) {
    throw new Error(`Cannot use the exchange ${topology.exchange.name}: it does not exist`);
  }
  const queues = channel === undefined ? allQueues(topology) : [topology.workQueues[channel]];
  for (const queue of queues) {
    if (await countReady(client, queue) === null) {
      throw new Error(`Cannot use the queue ${queue.name}: it does not exist`);
    }
  }
}

/** How many messages wait for a consumer. Null when there is no such queue. */
export async function countReady(
  client: AMQPClient,
  { name }: QueueDescription,
): Promise<number | null> {
  const found = await unlessMissing(
    withChannel(client, (channel) => channel.queueDeclare(name, { passive: true })),
  );
  return found === null ? null : found.messageCount;
}

async function exchangeExists(client: AMQPClient, { exchange }: Topology): Promise<boolean> {
  const found = await unlessMissing(withChannel(client, async (channel) => {
    await channel.exchangeDeclare(exchange.name, exchange.type, { passive: true });
    return true;
  }));
  return found !== null;
}

async function declare(
  client: AMQPClient,
  subject: string,
  work: (channel: AMQPChannel) => Promise<unknown>,
): Promise<void> {
  try {
    await withChannel(client, work);
  } catch (error) {
    const reason = replyCode(error) === ACCESS_REFUSED
      ? `it does not exist and this user may not make it. Declare it first, or let the user configure it`
      : `it does not exist and cannot be made: ${(error as Error).message}`;
    throw new Error(`Cannot use the ${subject}: ${reason}`);
  }
}

async function unlessMissing<Result>(work: Promise<Result>): Promise<Result | null> {
  try {
    return await work;
  } catch (error) {
    if (replyCode(error) === NOT_FOUND) return null;
    throw error;
  }
}

/** The library puts AMQP's reply code at the end of its message: "channel 1 closed: NOT_FOUND - no queue 'x' … (404)". */
function replyCode(error: unknown): string | undefined {
  return error instanceof Error ? /\((\d{3})\)$/.exec(error.message)?.[1] : undefined;
}
