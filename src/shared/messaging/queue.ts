import type { Channel } from "../domain/delivery.ts";

/** "Delivery X is due." Ids and trace context only: what is in a queue can be read by whoever runs the broker. */
export type Hint = { deliveryId: string; channel: Channel; traceparent?: string | undefined };

/** What the handler makes of a hint. `dead`: it can never be handled; it goes to `notify.dead`. */
export type Verdict = "ack" | "dead";

export type ConsumeOptions = {
  prefetch: number;
  handle: (hint: Hint) => Promise<Verdict>;
  onError: (error: unknown) => void;
};

export type Consumer = {
  /** Takes no more hints, waits for those in hand, settles them. Never rejects. */
  stop: () => Promise<void>;
};

/**
 * Carries hints. It may lose them, double them and mix their order: the ledger knows what is due.
 *
 * Two implementations pass the same tests: RabbitMQ and memory.
 */
export type Queue = {
  /** Returns the hints that the queue did not take; the others are stored. Never rejects, never waits longer than `PUBLISH_TIMEOUT_MS`. */
  publish: (hints: readonly Hint[]) => Promise<Hint[]>;
  /**
   * Handles up to `prefetch` hints at once. A hint whose handler throws is reported to `onError` and taken off the queue:
   * the ledger gives it again, and a requeue would spin.
   */
  consume: (channel: Channel, options: ConsumeOptions) => Promise<Consumer>;
  /** How many hints of `channel` wait for a consumer. Null when the queue cannot say. */
  ready: (channel: Channel) => Promise<number | null>;
  /** Rejects, with the reason, while hints of this channel, or of any, cannot be exchanged. */
  check: (channel?: Channel) => Promise<void>;
  close: () => Promise<void>;
};

export const PUBLISH_TIMEOUT_MS = 5_000;
