import { type Channel, CHANNELS } from "../domain/delivery.ts";

/** What is set on a queue, in the words of a RabbitMQ policy. As arguments of a queue the names begin with `x-`. */
export type QueueSettings = {
  "delivery-limit": number;
  "max-length": number;
  overflow: "reject-publish" | "drop-head";
  "dead-letter-exchange"?: string;
  "dead-letter-routing-key"?: string;
  "dead-letter-strategy"?: "at-least-once";
};

export type QueueDescription = {
  name: string;
  type: "quorum";
  durable: true;
  /** The queue is bound to the exchange by this key. */
  routingKey: string;
  settings: QueueSettings;
};

export type Topology = {
  exchange: { name: string; type: "direct"; durable: true };
  /** Where hints that cannot be read end. Before the others, so that their dead letters always have a home. */
  deadQueue: QueueDescription;
  workQueues: Record<Channel, QueueDescription>;
};

const DEAD = "dead";

/** Far above what crashes cost: every hint that a dying worker held counts, whether it was looked at or not. */
const DELIVERY_LIMIT = 20;
/** All that can be due in one busy hour. What does not fit stays in the ledger, and the relay tries again. */
const WORK_QUEUE_LENGTH_MAX = 200_000;
const DEAD_QUEUE_LENGTH_MAX = 10_000;

/**
 * All that Carillon needs of RabbitMQ, in its own vhost (the path of AMQP_URL).
 *
 * Everything whose default differs between 3.10 and 4.x is set. At-least-once dead-lettering works only with
 * reject-publish. The dead queue drops its oldest instead: a full one would fill the others.
 */
export function createTopology(prefix = "notify"): Topology {
  const workQueue = (channel: Channel): QueueDescription => ({
    name: `${prefix}.${channel}`,
    type: "quorum",
    durable: true,
    routingKey: channel,
    settings: {
      "delivery-limit": DELIVERY_LIMIT,
      "max-length": WORK_QUEUE_LENGTH_MAX,
      overflow: "reject-publish",
      "dead-letter-exchange": prefix,
      "dead-letter-routing-key": DEAD,
      "dead-letter-strategy": "at-least-once",
    },
  });
  return {
    exchange: { name: prefix, type: "direct", durable: true },
    deadQueue: {
      name: `${prefix}.${DEAD}`,
      type: "quorum",
      durable: true,
      routingKey: DEAD,
      settings: {
        "delivery-limit": DELIVERY_LIMIT,
        "max-length": DEAD_QUEUE_LENGTH_MAX,
        overflow: "drop-head",
      },
    },
    workQueues: { email: workQueue("email"), sms: workQueue("sms") },
  };
}

/** In the order in which they are to be declared. */
export function allQueues({ deadQueue, workQueues }: Topology): QueueDescription[] {
  return [deadQueue, ...CHANNELS.map((channel) => workQueues[channel])];
}

export function queueArguments({ type, settings }: QueueDescription): Record<string, unknown> {
  const named = Object.entries(settings).map(([name, value]) => [`x-${name}`, value]);
  return { "x-queue-type": type, ...Object.fromEntries(named) };
}
