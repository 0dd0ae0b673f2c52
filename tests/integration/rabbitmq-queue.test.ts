import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { describe, test } from "node:test";
import type { AMQPClient } from "@cloudamqp/amqp-client";
import { ensureTopology } from "../../src/shared/messaging/ensure-topology.ts";
import type { Consumer, Queue } from "../../src/shared/messaging/queue.ts";
import { keepConnected } from "../../src/shared/messaging/rabbitmq-connection.ts";
import { openPublisher, type Publisher } from "../../src/shared/messaging/rabbitmq-publisher.ts";
import { connectRabbitMq } from "../../src/shared/messaging/rabbitmq-queue.ts";
import { createLog } from "../../src/shared/runtime/log.ts";
import { eventually } from "../support/eventually.ts";
import { skipWithoutBroker } from "../support/queue.ts";
import {
  hint,
  hints,
  openTestRabbitMq,
  silentLog,
  type TestRabbitMq,
} from "../support/rabbitmq.ts";
import { createTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";

const unexpected = (error: unknown) => {
  throw error;
};

/** Acks whatever comes, and keeps the ids. */
async function collect(queue: Queue): Promise<{ ids: Set<string>; consumer: Consumer }> {
  const ids = new Set<string>();
  const consumer = await queue.consume("email", {
    prefetch: 10,
    handle: async ({ deliveryId }) => {
      ids.add(deliveryId);
      return "ack";
    },
    onError: unexpected,
  });
  return { ids, consumer };
}

async function delivers(queue: Queue, ids: Set<string>): Promise<boolean> {
  const one = hint();
  if ((await queue.publish([one])).length > 0) return false;
  await eventually("the hint", () => ids.has(one.deliveryId));
  return true;
}

async function deadCount(broker: TestRabbitMq): Promise<number> {
  const channel = await broker.openChannel();
  const { messageCount } = await channel.queueDeclare(broker.topology.deadQueue.name, {
    passive: true,
  });
  await channel.close();
  return messageCount;
}

describe("the RabbitMQ queue's topology", { skip: skipWithoutBroker() }, () => {
  test("a deleted queue: publish() returns its hints, and the queue comes back", async (t) => {
    const broker = await openTestRabbitMq(t);
    const queue = await broker.connect();
    const admin = await broker.openChannel();
    await admin.queueDelete(broker.topology.workQueues.email.name);

    const [email, sms] = [hint({ channel: "email" }), hint({ channel: "sms" })];
    assert.deepEqual(await queue.publish([email, sms]), [email]);
    await eventually("the queue", async () => (await queue.publish([email])).length === 0);
  });

  test("a deleted binding: publish() returns its hints, and the binding comes back", async (t) => {
    const broker = await openTestRabbitMq(t);
    const queue = await broker.connect();
    const admin = await broker.openChannel();
    const { exchange, workQueues } = broker.topology;
    await admin.queueUnbind(workQueues.email.name, exchange.name, workQueues.email.routingKey);

    const email = hint();
    assert.deepEqual(await queue.publish([email]), [email]);
    await eventually("the binding", async () => (await queue.publish([email])).length === 0);
  });

  test("a deleted exchange: publish() returns its hints, and the exchange comes back", async (t) => {
    const broker = await openTestRabbitMq(t);
    const queue = await broker.connect();
    const admin = await broker.openChannel();
    await admin.exchangeDelete(broker.topology.exchange.name);

    const some = hints(3);
    assert.deepEqual(await queue.publish(some), some);
    await eventually("the exchange", async () => (await queue.publish(some)).length === 0);
  });

  test("a queue deleted under its consumer comes back, and so does the consumer", async (t) => {
    const broker = await openTestRabbitMq(t);
    const queue = await broker.connect();
    const { ids } = await collect(queue);
    const admin = await broker.openChannel();
    await admin.queueDelete(broker.topology.workQueues.email.name);
    await eventually("a hint on the new queue", () => delivers(queue, ids));
  });

  test("check() names a queue that is missing, and has it made again", async (t) => {
    const broker = await openTestRabbitMq(t);
    const queue = await broker.connect();
    await queue.check();
    const { name } = broker.topology.workQueues.sms;
    const admin = await broker.openChannel();
    await admin.queueDelete(name);
    assert.equal(await queue.ready("sms"), null);
    await queue.check("email"); // The other channel does not suffer
    await assert.rejects(queue.check("sms"), {
      message: `Cannot use the queue ${name}: it does not exist`,
    });
    const text = hint({ channel: "sms" });
    await eventually("the queue", async () => (await queue.publish([text])).length === 0);
  });

  test("what exists is used as it is: a full queue takes no more", async (t) => {
    const broker = await openTestRabbitMq(t);
    const { email } = broker.topology.workQueues;
    const admin = await broker.openChannel();
    await admin.queueDeclare(email.name, { durable: true }, {
      "x-queue-type": "quorum",
      "x-max-length": 5,
      "x-overflow": "reject-publish",
    });
    const queue = await broker.connect();
    const some = hints(20); // The broker notices a moment after that it is full
    await eventually("a refusal", async () => (await queue.publish(some)).length === some.length);
    const texts = hints(3, { channel: "sms" });
    assert.deepEqual(await queue.publish(texts), []);
  });

  test("two processes may declare it at once", async (t) => {
    const broker = await openTestRabbitMq(t);
    const queues = await Promise.all([broker.connect(), broker.connect()]);
    for (const queue of queues) await queue.check();
  });

  // Names that begin with "amq." are the broker's own: whoever asks, it refuses to make them. One of them exists
  for (
    const [prefix, missing] of [
      ["amq.nobody", "exchange amq.nobody"],
      ["amq.direct", "queue amq.direct.dead"],
    ]
  ) {
    test(`without the permission to make the ${missing} connecting says so`, async (t) => {
      const broker = await openTestRabbitMq(t);
      await assert.rejects(broker.connect({ prefix, startTimeoutMs: 500 }), {
        message: `Cannot use the ${missing}: it does not exist and this user may not make it. ` +
          "Declare it first, or let the user configure it",
      });
    });
  }
});

describe("the RabbitMQ queue's dead letters", { skip: skipWithoutBroker() }, () => {
  test("hints that cannot be read go there, and their neighbours are handled", async (t) => {
    const broker = await openTestRabbitMq(t);
    const queue = await broker.connect();
    const { exchange } = broker.topology;
    const admin = await broker.openChannel();
    const bodies = ["", "{", `{"deliveryId":"42"}`, "x".repeat(20_000)];
    for (const body of bodies) {
      await admin.basicPublish(exchange.name, "email", body, { deliveryMode: 2 });
    }
    const { ids } = await collect(queue);
    assert.ok(await delivers(queue, ids));
    await eventually("the dead hints", async () => await deadCount(broker) === bodies.length);
    assert.equal(ids.size, 1);
    await eventually("an empty queue", async () => await queue.ready("email") === 0);
  });

  test("hints that the handler calls dead go there", async (t) => {
    const broker = await openTestRabbitMq(t);
    const queue = await broker.connect();
    await queue.consume("email", {
      prefetch: 1,
      handle: async () => "dead",
      onError: unexpected,
    });
    await queue.publish(hints(2));
    await eventually("the dead hints", async () => await deadCount(broker) === 2);
  });

  test("hints whose handler throws do not", async (t) => {
    const broker = await openTestRabbitMq(t);
    const queue = await broker.connect();
    const errors: unknown[] = [];
    const consumer = await queue.consume("email", {
      prefetch: 1,
      handle: () => Promise.reject(new Error("the database is away")),
      onError: (error) => errors.push(error),
    });
    await queue.publish(hints(2));
    await eventually("both", () => errors.length === 2);
    await consumer.stop();
    assert.equal(await queue.ready("email"), 0);
    assert.equal(await deadCount(broker), 0);
  });
});

describe("the RabbitMQ queue's connection", { skip: skipWithoutBroker() }, () => {
  test("connecting to nobody says where and why, but not as whom", async () => {
    const port = await unusedPort();
    const lines: string[] = [];
    await assert.rejects(
      connectRabbitMq(`amqp://someone:secret@127.0.0.1:${port}/notifications`, {
        name: "test",
        log: createLog("test", { level: "debug", write: (line) => lines.push(line) }),
        startTimeoutMs: 500,
      }),
      {
        message: `Cannot reach RabbitMQ at 127.0.0.1:${port}: ` +
          `connect ECONNREFUSED 127.0.0.1:${port}`,
      },
    );
    assert.equal(lines.length, 1, "the same reason is said once");
    assert.doesNotMatch(lines.join(""), /someone|secret/);
  });

  test("connecting waits for a broker that comes late", async (t) => {
    const broker = await openTestRabbitMq(t);
    const proxy = await createTcpProxy(t, broker.url);
    proxy.refuse(true);
    const connecting = broker.connect({ url: proxy.url });
    await eventually("an attempt", () => proxy.refused() > 1);
    proxy.refuse(false);
    await (await connecting).check();
  });

  test("when it is lost, publish() returns its hints at once; later all goes on", async (t) => {
    const broker = await openTestRabbitMq(t);
    const proxy = await createTcpProxy(t, broker.url);
    const queue = await broker.connect({ url: proxy.url });
    const { ids } = await collect(queue);
    assert.ok(await delivers(queue, ids));

    proxy.refuse(true);
    proxy.cut();
    await eventually("the loss", () => failsWith(queue, /^Cannot reach RabbitMQ at 127\.0\.0\.1/));
    const some = hints(3);
    assert.deepEqual(await queue.publish(some), some);
    assert.equal(await queue.ready("email"), null);

    proxy.refuse(false);
    await eventually("a hint", () => delivers(queue, ids));
    await queue.check();
  });

  test("when the network swallows everything, publish() still returns, and all goes on", async (t) => {
    const broker = await openTestRabbitMq(t);
    const proxy = await createTcpProxy(t, broker.url);
    const queue = await broker.connect({ url: proxy.url, heartbeatSeconds: 1 });
    const { ids } = await collect(queue);
    proxy.freeze();
    const some = hints(300); // More than the window
    assert.deepEqual(await queue.publish(some), some);
    await eventually("a hint", () => delivers(queue, ids));
  });

  test("a silent connection ends even while it is written to", async (t) => {
    const broker = await openTestRabbitMq(t);
    const proxy = await createTcpProxy(t, broker.url);
    const queue = await broker.connect({ url: proxy.url, heartbeatSeconds: 1 });
    proxy.freeze();
    proxy.refuse(true);
    const writing = setInterval(() => queue.publish(hints(1)), 50);
    t.after(() => clearInterval(writing));
    await eventually("the end", () => failsWith(queue, /^Cannot reach/), { timeoutMs: 8_000 });
  });

  test("hints in hand when it is lost come again, and their old acks harm nothing", async (t) => {
    const broker = await openTestRabbitMq(t);
    const proxy = await createTcpProxy(t, broker.url);
    const queue = await broker.connect({ url: proxy.url });
    const published = hints(4);
    await queue.publish(published);

    const times = new Map<string, number>();
    const held: (() => void)[] = [];
    let inHand = 0;
    let most = 0;
    const consumer = await queue.consume("email", {
      prefetch: 2,
      handle: async ({ deliveryId }) => {
        times.set(deliveryId, (times.get(deliveryId) ?? 0) + 1);
        most = Math.max(most, ++inHand);
        await new Promise<void>((resolve) => held.push(resolve));
        inHand -= 1;
        return "ack";
      },
      onError: unexpected,
    });
    await eventually("two in hand", () => held.length === 2);
    proxy.cut();
    await eventually("two more on their way", async () => await queue.ready("email") === 2);
    await eventually("all of them", () => {
      for (const release of held.splice(0)) release();
      return times.size === published.length && inHand === 0;
    });
    await consumer.stop();
    assert.deepEqual([...times.values()].sort(), [1, 1, 2, 2]);
    assert.equal(most, 2);
    assert.equal(await queue.ready("email"), 0);
  });

  test("stop() and close() work while it is lost", async (t) => {
    const broker = await openTestRabbitMq(t);
    const proxy = await createTcpProxy(t, broker.url);
    const queue = await broker.connect({ url: proxy.url });
    const { consumer } = await collect(queue);
    proxy.refuse(true);
    proxy.cut();
    await consumer.stop();
    await queue.close();
  });

  test("a consumer that came while it was lost starts with the next one", async (t) => {
    const broker = await openTestRabbitMq(t);
    const proxy = await createTcpProxy(t, broker.url);
    const queue = await broker.connect({ url: proxy.url });
    proxy.refuse(true);
    proxy.cut();
    await eventually("the loss", async () => await queue.ready("email") === null);
    const { ids } = await collect(queue);
    proxy.refuse(false);
    await eventually("a hint", () => delivers(queue, ids));
  });

  test("while the broker blocks publishers, publish() returns its hints at once", async (t) => {
    const broker = await openTestRabbitMq(t);
    const proxy = await createTcpProxy(t, broker.url);
    const queue = await broker.connect({ url: proxy.url });
    proxy.inject(methodFrame(0, CONNECTION_BLOCKED, shortString("low on memory")));
    const reason = /^Cannot publish hints: RabbitMQ is low on memory$/;
    await eventually("the block", () => failsWith(queue, reason));
    const some = hints(3);
    assert.deepEqual(await queue.publish(some), some);

    proxy.inject(methodFrame(0, CONNECTION_UNBLOCKED, []));
    await eventually("an end", async () => (await queue.publish(some)).length === 0);
    await queue.check();
  });

  // Here the library would reject promises that nobody handles, and that would fail the test file
  for (
    const [what, end] of [
      ["connection reset", (proxy: TcpProxy) => proxy.cut()],
      ["channel closed", (proxy: TcpProxy) => proxy.inject(channelClose(1))],
    ] as const
  ) {
    test(`a ${what} before everything is written settles every hint`, async (t) => {
      const broker = await openTestRabbitMq(t);
      const proxy = await createTcpProxy(t, broker.url);
      const { client, publisher, close } = await openRawPublisher(broker, proxy.url);
      t.after(close);
      proxy.freeze();
      const { socket } = client;
      assert.ok(socket !== undefined);
      socket.write(heartbeats(16 * MEBIBYTE)); // More than the kernel's buffers hold
      const unwritten = socket.writableLength;
      const some = hints(300);
      const publishing = publisher.publish(some);
      await eventually("unwritten hints", () => socket.writableLength > unwritten);
      end(proxy);
      assert.deepEqual(await publishing, some);
      proxy.cut();
    });
  }

  test("stop() gives back at once what arrives while it takes leave", async (t) => {
    const broker = await openTestRabbitMq(t);
    const proxy = await createTcpProxy(t, broker.url);
    const queue = await broker.connect({ url: proxy.url });
    const other = await broker.connect();
    await other.publish(hints(1));
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    let taken = 0;
    const consumer = await queue.consume("email", {
      prefetch: 10,
      handle: async () => {
        taken += 1;
        await released;
        return "ack";
      },
      onError: unexpected,
    });
    await eventually("one in hand", () => taken === 1);

    proxy.hold(true);
    const stopping = consumer.stop();
    await other.publish(hints(3));
    await eventually("three on their way", async () => await other.ready("email") === 0);
    proxy.hold(false);
    const { ids } = await collect(other);
    await eventually("the three elsewhere", () => ids.size === 3).finally(release);
    await stopping;
    assert.equal(taken, 1);
  });
});

const MEBIBYTE = 2 ** 20;
// AMQP 0-9-1 §1.2: classes and methods. The last two are RabbitMQ's
const CHANNEL_CLOSE = [20, 40] as const;
const CONNECTION_BLOCKED = [10, 60] as const;
const CONNECTION_UNBLOCKED = [10, 61] as const;

function methodFrame(
  channel: number,
  [amqpClass, method]: readonly [number, number],
  payload: Iterable<number>,
): Uint8Array {
  const content = [0, amqpClass, 0, method, ...payload];
  return new Uint8Array([1, 0, channel, 0, 0, 0, content.length, ...content, 0xce]);
}

function channelClose(channel: number): Uint8Array {
  const code = 406;
  const payload = [code >> 8, code & 0xff, ...shortString("PRECONDITION_FAILED"), 0, 0, 0, 0];
  return methodFrame(channel, CHANNEL_CLOSE, payload);
}

function shortString(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  return new Uint8Array([bytes.length, ...bytes]);
}

function heartbeats(bytes: number): Uint8Array {
  const frame = [8, 0, 0, 0, 0, 0, 0, 0xce];
  return new Uint8Array(bytes).map((_, index) => frame[index % frame.length] as number);
}

function failsWith(queue: Queue, reason: RegExp): Promise<boolean> {
  return queue.check().then(() => false, ({ message }: Error) => reason.test(message));
}

async function unusedPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

async function openRawPublisher({ topology }: TestRabbitMq, url: string): Promise<{
  client: AMQPClient;
  publisher: Publisher;
  close: () => Promise<void>;
}> {
  let publisher: Publisher | undefined;
  const connection = await keepConnected(url, {
    name: "test",
    log: silentLog,
    prepare: async (client) => {
      await ensureTopology(client, topology);
      publisher = await openPublisher(client, {
        exchange: topology.exchange.name,
        onReturned: () => {},
        onLost: () => {},
      });
    },
    start: () => {},
  });
  const client = connection.client();
  assert.ok(client !== null && publisher !== undefined);
  return { client, publisher, close: connection.close };
}
