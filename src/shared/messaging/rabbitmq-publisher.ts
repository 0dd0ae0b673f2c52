import type { AMQPClient } from "@cloudamqp/amqp-client";
import { type Hint, PUBLISH_TIMEOUT_MS } from "./queue.ts";
import { openConfirmChannel } from "./rabbitmq-confirms.ts";

/** More unconfirmed messages than this bring no more throughput, only delay. */
const WINDOW_MAX = 256;
/** More waiting hints than this mean that the broker is slower than we are: the rest is better tried later. */
const WAITING_MAX = 10_000;

export type Publisher = {
  /** As `Queue.publish`. */
  publish: (hints: readonly Hint[]) => Promise<Hint[]>;
  /** Resolves when no call of publish() is under way. */
  idle: () => Promise<void>;
};

/** One call of publish(). */
type Batch = { unsettled: number; end: () => void; ended: Promise<Hint[]> };
type Job = { hint: Hint; batch: Batch; taken: boolean };

/** Publishes on a channel of its own, for as long as that channel lives. */
export async function openPublisher(
  client: AMQPClient,
  { exchange, onReturned, onLost }: {
    exchange: string;
    /** A hint found no queue. */
    onReturned: () => void;
    onLost: (reason: string) => void;
  },
): Promise<Publisher> {
  const batches = new Set<Batch>();
  const waiting: Job[] = [];
  let writing: NodeJS.Immediate | undefined;

  const channel = await openConfirmChannel(client, {
    exchange,
    onReturned,
    onConfirmed: fillWindowSoon,
    onLost: (reason) => {
      giveUp();
      onLost(reason);
    },
  });
  client.onblocked = giveUp;

  function publish(hints: readonly Hint[]): Promise<Hint[]> {
    const { promise: ended, resolve } = Promise.withResolvers<Hint[]>();
    const timer = setTimeout(() => batch.end(), PUBLISH_TIMEOUT_MS);
    const end = () => {
      clearTimeout(timer);
      batches.delete(batch);
      resolve(jobs.filter(({ taken }) => !taken).map(({ hint }) => hint));
    };
    const room = channel.open() ? WAITING_MAX - waiting.length : 0;
    const batch: Batch = { unsettled: Math.min(hints.length, room), end, ended };
    const jobs = hints.map((hint): Job => ({ hint, batch, taken: false }));
    if (batch.unsettled === 0) end();
    else {
      batches.add(batch);
      waiting.push(...jobs.slice(0, room));
      fillWindowSoon();
    }
    return ended;
  }

  /** Once for all that is asked for in one turn of the event loop: that makes one write of many. */
  function fillWindowSoon(): void {
    writing ??= setImmediate(fillWindow);
  }

  /** A message in flight keeps its place in the window after its batch has ended, until the broker speaks of it. */
  function fillWindow(): void {
    writing = undefined;
    client.socket?.cork();
    while (channel.inFlight() < WINDOW_MAX && channel.open()) {
      const job = waiting.shift();
      if (job === undefined) break;
      if (batches.has(job.batch)) channel.send(job.hint, (taken) => settle(job, taken));
    }
    client.socket?.uncork();
  }

  function giveUp(): void {
    for (const batch of batches) batch.end();
    waiting.length = 0;
  }

  const idle = async () => void await Promise.all([...batches].map(({ ended }) => ended));
  return { publish, idle };
}

function settle(job: Job, taken: boolean): void {
  job.taken = taken;
  job.batch.unsettled -= 1;
  if (job.batch.unsettled === 0) job.batch.end();
}
