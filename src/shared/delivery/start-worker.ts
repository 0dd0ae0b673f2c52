import type postgres from "postgres";
import type { Clinic } from "../domain/clinic.ts";
import type { Channel } from "../domain/delivery.ts";
import type { Queue } from "../messaging/queue.ts";
import type { Clock } from "../runtime/clock.ts";
import { describeError, type Log } from "../runtime/log.ts";
import type { Templates } from "../templates/templates.ts";
import { createDeliver } from "./deliver.ts";
import { createDeliveryMetrics } from "./metrics.ts";
import { createPacing } from "./pacing.ts";
import type { Provider } from "./provider.ts";

/** What a worker needs whatever it sends through. */
export type WorkerParts = {
  sql: postgres.Sql;
  queue: Queue;
  clinics: ReadonlyMap<string, Clinic>;
  templates: Pick<Templates, "render">;
  log: Log;
  /** Deliveries in hand at once. */
  prefetch: number;
  /** Calls of one sender at once; undefined: the usual number. */
  callsPerSender?: number | undefined;
  clock?: Clock | undefined;
  random?: (() => number) | undefined;
};

export type Worker = {
  /** Rejects, with the reason, while the worker cannot do its work. A provider that is down is no reason: the ledger waits. */
  ready: () => Promise<void>;
  /** Takes no more hints, finishes those in hand. */
  stop: () => Promise<void>;
};

export async function startWorker(
  channel: Channel,
  { queue, prefetch, ...parts }: WorkerParts & { provider: Provider },
): Promise<Worker> {
  const { sql, log, clock } = parts;
  const metrics = createDeliveryMetrics(channel);
  const pacing = createPacing(sql, { channel, prefetch, clock });
  const consumer = await queue.consume(channel, {
    prefetch,
    handle: createDeliver({ ...parts, pacing, metrics }),
    // The ledger gives the hint again, and takes an attempt that began for unclear
    onError: (error) => log.error("a delivery was left", describeError(error)),
  });
  return {
    ready: async () => {
      await sql`select 1`;
      await queue.check(channel);
    },
    stop: () => consumer.stop(),
  };
}
