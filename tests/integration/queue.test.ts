import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import { createMemoryQueue } from "../../src/shared/messaging/memory-queue.ts";
import type { ConsumeOptions, Hint, Queue } from "../../src/shared/messaging/queue.ts";
import { eventually } from "../support/eventually.ts";
import { skipWithoutBroker } from "../support/queue.ts";
import { hint, hints, openTestRabbitMq } from "../support/rabbitmq.ts";

type Implementation = {
  name: string;
  open: (t: TestContext) => Promise<Queue>;
  skip: string | false;
};

const IMPLEMENTATIONS: Implementation[] = [
  { name: "the memory queue", open: async () => createMemoryQueue(), skip: false },
  {
    name: "the RabbitMQ queue",
    open: async (t) => (await openTestRabbitMq(t)).connect(),
    skip: skipWithoutBroker(),
  },
];

const ids = (some: readonly Hint[]) => some.map(({ deliveryId }) => deliveryId).sort();

/** Holds every hint until it is let go, and notes how many it held at most. */
function createHolder(verdict: "ack" | "dead" = "ack") {
  const held: { hint: Hint; release: () => void }[] = [];
  const taken: Hint[] = [];
  let most = 0;
  return {
    held,
    taken,
    most: () => most,
    releaseAll: () => held.splice(0).forEach(({ release }) => release()),
    handle: async (hint: Hint) => {
      taken.push(hint);
      const { promise, resolve } = Promise.withResolvers<void>();
      held.push({ hint, release: resolve });
      most = Math.max(most, held.length);
      await promise;
      return verdict;
    },
  };
}

/** Acks whatever comes, and keeps it. */
function createCollector() {
  const taken: Hint[] = [];
  const handle: ConsumeOptions["handle"] = async (hint) => {
    taken.push(hint);
    return "ack";
  };
  return { taken, handle };
}

const unexpected = (error: unknown) => {
  throw error;
};

for (const { name, open, skip } of IMPLEMENTATIONS) {
  describe(name, { skip }, () => {
    test("publish() hands each hint, whole, to the consumer of its channel", async (t) => {
      const queue = await open(t);
      const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
      const email = hint({ channel: "email", traceparent });
      const sms = hint({ channel: "sms" });
      assert.deepEqual(await queue.publish([email, sms]), []);

      const emails = createCollector();
      const texts = createCollector();
      const options = { prefetch: 5, onError: unexpected };
      const consumers = [
        await queue.consume("email", { ...options, handle: emails.handle }),
        await queue.consume("sms", { ...options, handle: texts.handle }),
      ];
      await eventually("both hints", () => emails.taken.length + texts.taken.length === 2);
      await Promise.all(consumers.map((consumer) => consumer.stop()));
      assert.deepEqual(emails.taken, [email]);
      assert.deepEqual(texts.taken, [sms]);
    });

    test("publish() of nothing takes nothing", async (t) => {
      const queue = await open(t);
      assert.deepEqual(await queue.publish([]), []);
    });

    test("consume() handles every hint once when it is acked", async (t) => {
      const queue = await open(t);
      const published = hints(1_000);
      assert.deepEqual(await queue.publish(published), []);

      const { taken, handle } = createCollector();
      const consumer = await queue.consume("email", { prefetch: 50, handle, onError: unexpected });
      await eventually("all hints", () => taken.length >= published.length);
      await consumer.stop();
      assert.deepEqual(ids(taken), ids(published));
      await eventually("an empty queue", async () => await queue.ready("email") === 0);
    });

    test("consume() handles up to `prefetch` hints at once, and no more", async (t) => {
      const queue = await open(t);
      await queue.publish(hints(10));
      const holder = createHolder();
      const consumer = await queue.consume("email", {
        prefetch: 3,
        handle: holder.handle,
        onError: unexpected,
      });
      await eventually("three in hand", () => holder.held.length === 3);
      await eventually("all handled", () => {
        holder.releaseAll();
        return holder.taken.length === 10;
      });
      holder.releaseAll();
      await consumer.stop();
      assert.equal(holder.most(), 3);
    });

    test("stop() waits for the hints in hand and leaves the others to the next consumer", async (t) => {
      const queue = await open(t);
      const published = hints(5);
      await queue.publish(published);
      const holder = createHolder();
      const first = await queue.consume("email", {
        prefetch: 2,
        handle: holder.handle,
        onError: unexpected,
      });
      await eventually("two in hand", () => holder.held.length === 2);

      let stopped = false;
      const stopping = first.stop().then(() => stopped = true);
      const second = createCollector();
      const next = await queue.consume("email", {
        prefetch: 2,
        handle: second.handle,
        onError: unexpected,
      });
      await eventually("the others", () => second.taken.length === 3);
      assert.equal(stopped, false);
      holder.releaseAll();
      await stopping;
      await next.stop();
      assert.deepEqual(ids([...holder.taken, ...second.taken]), ids(published));
    });

    test("stop() settles all that was in hand, however much", async (t) => {
      const queue = await open(t);
      await queue.publish(hints(250));
      const holder = createHolder();
      const consumer = await queue.consume("email", {
        prefetch: 250,
        handle: holder.handle,
        onError: unexpected,
      });
      await eventually("all in hand", () => holder.held.length === 250);
      const stopping = consumer.stop();
      const later = hints(20);
      await queue.publish(later.slice(0, 1));
      await eventually("a hint left alone", async () => await queue.ready("email") === 1);
      holder.releaseAll();
      await stopping;

      const { taken, handle } = createCollector();
      const next = await queue.consume("email", { prefetch: 250, handle, onError: unexpected });
      for (const one of later.slice(1)) await queue.publish([one]); // Time for the others to come back
      await eventually("the later ones", () => taken.length >= later.length);
      await next.stop();
      assert.deepEqual(ids(taken), ids(later));
    });

    test("stop() twice is as good as once", async (t) => {
      const queue = await open(t);
      const { handle } = createCollector();
      const consumer = await queue.consume("email", { prefetch: 1, handle, onError: unexpected });
      await Promise.all([consumer.stop(), consumer.stop()]);
      await consumer.stop();
    });

    test("consume() takes a dead hint off the queue and goes on with its neighbours", async (t) => {
      const queue = await open(t);
      const [good, dead, better] = hints(3) as [Hint, Hint, Hint];
      await queue.publish([good, dead, better]);
      const { taken, handle } = createCollector();
      const consumer = await queue.consume("email", {
        prefetch: 1,
        handle: async (hint) => {
          await handle(hint);
          return hint.deliveryId === dead.deliveryId ? "dead" : "ack";
        },
        onError: unexpected,
      });
      await eventually("all three", () => taken.length === 3);
      await consumer.stop();
      assert.deepEqual(ids(taken), ids([good, dead, better]));
      await eventually("an empty queue", async () => await queue.ready("email") === 0);
    });

    test("consume() reports a handler that throws, takes its hint off, and goes on", async (t) => {
      const queue = await open(t);
      const [bad, good] = hints(2) as [Hint, Hint];
      await queue.publish([bad, good]);
      const { taken, handle } = createCollector();
      const errors: unknown[] = [];
      const failure = new Error("no such delivery");
      const consumer = await queue.consume("email", {
        prefetch: 1,
        handle: async (hint) => {
          await handle(hint);
          if (hint.deliveryId === bad.deliveryId) throw failure;
          return "ack";
        },
        onError: (error) => errors.push(error),
      });
      await eventually("both", () => taken.length === 2);
      await consumer.stop();
      assert.deepEqual(errors, [failure]);
      assert.deepEqual(ids(taken), ids([bad, good]));
      await eventually("an empty queue", async () => await queue.ready("email") === 0);
    });

    test("ready() counts the waiting hints of a channel", async (t) => {
      const queue = await open(t);
      await queue.publish([...hints(3), hint({ channel: "sms" })]);
      await eventually("three emails", async () => await queue.ready("email") === 3);
      await eventually("one text", async () => await queue.ready("sms") === 1);
    });

    test("many consumers share the hints", async (t) => {
      const queue = await open(t);
      const published = hints(60);
      await queue.publish(published);
      const holders = [createHolder(), createHolder(), createHolder()];
      const consumers = await Promise.all(
        holders.map(({ handle }) =>
          queue.consume("email", { prefetch: 5, handle, onError: unexpected })
        ),
      );
      await eventually("five in each hand", () => holders.every(({ held }) => held.length === 5));
      const taken = () => holders.flatMap(({ taken }) => taken);
      await eventually("all handled", () => {
        for (const holder of holders) holder.releaseAll();
        return taken().length >= published.length;
      });
      for (const holder of holders) holder.releaseAll();
      await Promise.all(consumers.map((consumer) => consumer.stop()));
      assert.deepEqual(ids(taken()), ids(published));
    });

    test("close() ends it: nothing is taken, counted or consumed any more", async (t) => {
      const queue = await open(t);
      await queue.check();
      await queue.close();
      const late = hints(3);
      assert.deepEqual(await queue.publish(late), late);
      assert.equal(await queue.ready("email"), null);
      await assert.rejects(queue.check(), /^Error: Cannot /);
      const { handle } = createCollector();
      await assert.rejects(
        queue.consume("email", { prefetch: 1, handle, onError: unexpected }),
        /^Error: Cannot consume/,
      );
    });

    test("close() waits for the hints in hand", async (t) => {
      const queue = await open(t);
      await queue.publish(hints(1));
      const holder = createHolder();
      await queue.consume("email", { prefetch: 1, handle: holder.handle, onError: unexpected });
      await eventually("one in hand", () => holder.held.length === 1);
      let closed = false;
      const closing = queue.close().then(() => closed = true);
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(closed, false);
      holder.releaseAll();
      await closing;
    });
  });
}

test("a full memory queue returns what does not fit", async () => {
  const queue = createMemoryQueue({ lengthMax: 2 });
  const [first, second, third] = hints(3) as [Hint, Hint, Hint];
  assert.deepEqual(await queue.publish([first, second, third]), [third]);
  const text = hint({ channel: "sms" });
  assert.deepEqual(await queue.publish([text]), []);
});
