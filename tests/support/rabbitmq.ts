import { randomUUID } from "node:crypto";
import type { TestContext } from "node:test";
import { type AMQPChannel, AMQPClient } from "@cloudamqp/amqp-client";
import type { Hint, Queue } from "../../src/shared/messaging/queue.ts";
import {
  connectRabbitMq,
  type RabbitMqOptions,
} from "../../src/shared/messaging/rabbitmq-queue.ts";
import { createLog } from "../../src/shared/runtime/log.ts";
import { createTestBroker, type TestBroker } from "./queue.ts";

export const silentLog = createLog("test", { level: "error", write: () => {} });

export type TestRabbitMq = TestBroker & {
  /** A channel past the queue under test. */
  openChannel: () => Promise<AMQPChannel>;
  /** A queue on this test's topology, closed after the test. */
  connect: (options?: Partial<RabbitMqOptions> & { url?: string }) => Promise<Queue>;
};

export async function openTestRabbitMq(t: TestContext): Promise<TestRabbitMq> {
  const queues: Queue[] = [];
  // Before the topology goes: a queue that is still open would declare it again
  t.after(() => Promise.all(queues.map((queue) => queue.close())));
  const broker = createTestBroker();
  const client = new AMQPClient(broker.url);
  await client.connect();
  t.after(() => client.close());
  return {
    ...broker,
    openChannel: () => client.channel(),
    connect: async ({ url = broker.url, ...options } = {}) => {
      const queue = await connectRabbitMq(url, {
        name: "test",
        log: silentLog,
        prefix: broker.prefix,
        ...options,
      });
      queues.push(queue);
      return queue;
    },
  };
}

export function hint(changes: Partial<Hint> = {}): Hint {
  return { deliveryId: randomUUID(), channel: "email", ...changes };
}

export function hints(count: number, changes: Partial<Hint> = {}): Hint[] {
  return Array.from({ length: count }, () => hint(changes));
}
