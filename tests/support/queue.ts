import { randomBytes } from "node:crypto";
import process from "node:process";
import { after } from "node:test";
import { AMQPClient } from "@cloudamqp/amqp-client";
import { allQueues, createTopology, type Topology } from "../../src/shared/messaging/topology.ts";

export type TestBroker = {
  url: string;
  /** Begins the names of the exchange and queues: nobody else uses it. */
  prefix: string;
  topology: Topology;
};

/** For a test of RabbitMQ itself: the memory queue cannot stand in for it. */
export function skipWithoutBroker(): string | false {
  return brokerUrl() === null && "needs a real RabbitMQ";
}

export function brokerUrl(): string | null {
  return process.env.AMQP_URL || null;
}

/**
 * Names of its own in the broker of AMQP_URL. What is declared under them is deleted after the test file (or the suite).
 *
 * Call it in a test or hook that `skipWithoutBroker()` leaves out when there is no broker.
 */
export function createTestBroker(): TestBroker {
  const url = brokerUrl();
  if (url === null) {
    throw new Error("Cannot use a broker: AMQP_URL is not set. Run the tests with npm test");
  }
  const prefix = `test-${randomBytes(6).toString("hex")}`;
  const topology = createTopology(prefix);
  after(() => deleteTopology(url, topology));
  return { url, prefix, topology };
}

/** Deletes queues and exchange; for services that use the usual names it makes the broker as new. */
export async function deleteTopology(url: string, topology = createTopology()): Promise<void> {
  const client = new AMQPClient(url);
  await client.connect();
  const channel = await client.channel();
  // Deleting what does not exist is no error for the broker
  for (const { name } of allQueues(topology)) await channel.queueDelete(name);
  await channel.exchangeDelete(topology.exchange.name);
  await client.close();
}
