import type postgres from "postgres";
import { claimDueHints, rehintLost, unmarkHinted } from "../shared/database/hints.ts";
import { oldestDueSeconds } from "../shared/database/notification-states.ts";
import { CHANNELS } from "../shared/domain/delivery.ts";
import type { Queue } from "../shared/messaging/queue.ts";
import { describeError, type Log } from "../shared/runtime/log.ts";
import { repeat } from "../shared/runtime/repeat.ts";
import type { Instruments } from "./instruments.ts";

const PAUSE_MS = 1_000;
const PER_SENDER = 200;
/** A tick goes on at once while it finds full batches, but not for ever: it must also look at the other things. */
const ROUNDS_MAX = 50;
const NOT_TAKEN_PAUSE_SECONDS = 5;
const REHINT_MAX = 1_000;

type Dependencies = { sql: postgres.Sql; queue: Queue; instruments: Instruments; log: Log };

/** Makes sure that everything due has a hint, whatever became of the first one. Any number of relays may run. */
export function startRelay(dependencies: Dependencies): { stop: () => Promise<void> } {
  const controller = new AbortController();
  const { signal } = controller;
  let healthy = true;
  const done = repeat(async () => {
    await relayOnce(dependencies, { signal });
    if (!healthy) dependencies.log.info("the relay works again");
    healthy = true;
  }, {
    pauseMs: PAUSE_MS,
    signal,
    onError: (error) => {
      // Once for each trouble, not once a second
      if (healthy) dependencies.log.warn("the relay waits", describeError(error));
      healthy = false;
    },
  });
  return {
    stop: async () => {
      controller.abort();
      await done;
    },
  };
}

/** One pass: hints what is due, and what was hinted in vain. Throws when the queue or the database cannot be used. */
export async function relayOnce(
  { sql, queue, instruments }: Dependencies,
  { signal }: { signal?: AbortSignal } = {},
): Promise<void> {
  instruments.overdue.record(await oldestDueSeconds(sql));
  await queue.check(); // While it takes nothing, nothing is claimed: each claim makes the next one later
  for (const channel of CHANNELS) {
    if (await queue.ready(channel) !== 0) continue;
    const lost = await rehintLost(sql, { channel, limit: REHINT_MAX });
    if (lost > 0) instruments.rehinted.add(lost, { channel });
  }
  for (let round = 0; round < ROUNDS_MAX && !signal?.aborted; round += 1) {
    const due = await claimDueHints(sql, { perSender: PER_SENDER });
    const hints = due.map(({ id, channel }) => ({ deliveryId: id, channel }));
    const notTaken = hints.length === 0 ? [] : await queue.publish(hints);
    instruments.hints.add(hints.length - notTaken.length, {
      source: "relay",
      outcome: "published",
    });
    if (notTaken.length > 0) {
      instruments.hints.add(notTaken.length, { source: "relay", outcome: "not_taken" });
      const ids = notTaken.map(({ deliveryId }) => deliveryId);
      await unmarkHinted(sql, { ids, pauseSeconds: NOT_TAKEN_PAUSE_SECONDS });
      return;
    }
    if (due.length < PER_SENDER) return; // No sender had a full batch
  }
}
