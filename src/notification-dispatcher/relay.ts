import { setTimeout as sleep } from "node:timers/promises";
import type postgres from "postgres";
import { claimDueHints, rehintLost, unmarkHinted } from "../shared/database/hints.ts";
import { oldestDueSeconds } from "../shared/database/notification-states.ts";
import { countSendersInTrouble } from "../shared/database/sender-rates.ts";
import { type Channel, CHANNELS } from "../shared/domain/delivery.ts";
import type { Queue } from "../shared/messaging/queue.ts";
import { describeError, type Log } from "../shared/runtime/log.ts";
import type { Instruments } from "./instruments.ts";
import { createQueueRoom, type QueueRoom, READY_MAX } from "./queue-room.ts";

const PAUSE_MS = 1_000;
/** While more is due than there is room for, and when something has just been left to the relay. */
const BUSY_PAUSE_MS = 100;
const PER_SENDER = 200;
/** A tick goes on at once while it finds full batches, but not for ever: it must also look at the other things. */
const ROUNDS_MAX = 50;
const NOT_TAKEN_PAUSE_SECONDS = 5;
const REHINT_MAX = 1_000;

type Dependencies = {
  sql: postgres.Sql;
  queue: Queue;
  instruments: Instruments;
  log: Log;
  room?: QueueRoom;
};

export type Relay = {
  /** To be told when something that is due was left to the relay. */
  wake: () => void;
  stop: () => Promise<void>;
};

/** Makes sure that everything due has a hint, whatever became of the first one. Any number of relays may run. */
export function startRelay(dependencies: Dependencies): Relay {
  const { log } = dependencies;
  const stopping = new AbortController();
  let rest = new AbortController();
  let healthy = true;

  async function tick(): Promise<{ busy: boolean }> {
    try {
      const { more } = await relayOnce(dependencies, { signal: stopping.signal });
      if (!healthy) log.info("the relay works again");
      healthy = true;
      return { busy: more || rest.signal.aborted };
    } catch (error) {
      // Once for each trouble, not once a second
      if (healthy) log.warn("the relay waits", describeError(error));
      healthy = false;
      return { busy: false };
    }
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      rest = new AbortController();
      const { busy } = await tick();
      await pause(BUSY_PAUSE_MS, stopping.signal);
      // What was left to the relay while the queue is away does not make it come back sooner
      if (!busy) await pause(PAUSE_MS - BUSY_PAUSE_MS, healthy ? rest.signal : stopping.signal);
    }
  }

  const done = run();
  return {
    wake: () => rest.abort(),
    stop: async () => {
      stopping.abort();
      rest.abort();
      await done;
    },
  };
}

/** Aborting ends the pause early. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {});
}

/**
 * One pass: hints what is due, as far as there is room, and what was hinted in vain. `more`: there was not room for all.
 *
 * Throws when the queue or the database cannot be used.
 */
export async function relayOnce(
  { sql, queue, instruments, room = createQueueRoom() }: Dependencies,
  { signal }: { signal?: AbortSignal } = {},
): Promise<{ more: boolean }> {
  instruments.overdue.record(await oldestDueSeconds(sql));
  instruments.sendersInTrouble.record(await countSendersInTrouble(sql));
  const filled = await Promise.allSettled(
    CHANNELS.map((channel) => fillQueue({ sql, queue, instruments, room }, { channel, signal })),
  );
  // Only now: trouble with one channel's queue must not hold back the other's
  const failed = filled.find((one) => one.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  return { more: filled.some((one) => one.status === "fulfilled" && one.value === "full") };
}

/**
 * Keeps the queue short, and gives each sender its turn at what room there is. Relays that look at the same moment each
 * fill it: that exceeds the room by their number, once, and does no harm.
 */
async function fillQueue(
  { sql, queue, instruments, room }: Omit<Required<Dependencies>, "log">,
  { channel, signal }: { channel: Channel; signal: AbortSignal | undefined },
): Promise<"full" | "done"> {
  await queue.check(channel); // While it takes nothing, nothing is claimed: each claim makes the next one later
  for (let round = 0; round < ROUNDS_MAX && !signal?.aborted; round += 1) {
    const ready = await queue.ready(channel);
    room.look(channel, ready ?? 0);
    if (ready !== null && round === 0) {
      const lost = await rehintLost(sql, { channel, waiting: ready, limit: REHINT_MAX });
      if (lost > 0) instruments.rehinted.add(lost, { channel });
    }
    const limit = READY_MAX - (ready ?? 0);
    if (limit <= 0) return "full";

    const due = await claimDueHints(sql, { channel, limit, perSender: PER_SENDER });
    const taken = await publish({ sql, queue, instruments }, due);
    if (taken < due.length) return "done"; // The queue is in trouble
    if (due.length < Math.min(limit, PER_SENDER)) return "done"; // No sender had a full batch
  }
  return "full";
}

/** Returns how many hints the queue took. The others are tried again a little later. */
async function publish(
  { sql, queue, instruments }: Pick<Dependencies, "sql" | "queue" | "instruments">,
  due: readonly { id: string; channel: Channel }[],
): Promise<number> {
  if (due.length === 0) return 0;
  const hints = due.map(({ id, channel }) => ({ deliveryId: id, channel }));
  const notTaken = await queue.publish(hints);
  const taken = hints.length - notTaken.length;
  instruments.hints.add(taken, { source: "relay", outcome: "published" });
  if (notTaken.length > 0) {
    instruments.hints.add(notTaken.length, { source: "relay", outcome: "not_taken" });
    const ids = notTaken.map(({ deliveryId }) => deliveryId);
    await unmarkHinted(sql, { ids, pauseSeconds: NOT_TAKEN_PAUSE_SECONDS });
  }
  return taken;
}
