import { setTimeout as sleep } from "node:timers/promises";
import type { Db } from "../database/connect.ts";
import {
  forgetPauses,
  pauseSender,
  readSenderState,
  reserveSlots,
  type SenderState,
} from "../database/sender-rates.ts";
import { retryWhileUnavailable } from "../database/retry.ts";
import type { Channel } from "../domain/delivery.ts";
import type { SenderUnusable } from "../domain/outcome.ts";
import { createBatcher } from "../runtime/batch.ts";
import { BATCH_MAX, LINGER_MS } from "./leasing.ts";

const STATE_MAX_AGE_MS = 2_000;
const WAIT_MAX_SECONDS = 10;
const DATABASE_AWAY_MAX_MS = 10_000;

export type Pacing = {
  /** Waits for the turn of the delivery's sender. False: another hint waits for it, or it is far off and will come again. */
  waitForTurn: (deliveryId: string) => Promise<boolean>;
  pause: (senderId: string, reason: SenderUnusable["reason"]) => Promise<void>;
  /** To be told of every success: it ends a sender's troubles. */
  worked: (senderId: string) => Promise<void>;
};

/** Keeps the senders' rates and pauses. Costs nothing while no sender has a rate and none is in trouble. */
export function createPacing(
  sql: Db,
  { channel, prefetch }: { channel: Channel; prefetch: number },
): Pacing {
  const state = createStateCache(() => readSenderState(sql, channel));
  // Whoever waits has a hand that another sender's hint could use
  const waitingMax = Math.ceil(prefetch / 2);
  const inHand = new Set<string>();
  let waiting = 0;

  const reserve = createBatcher<string, number | null>(
    { max: BATCH_MAX, lingerMs: LINGER_MS },
    async (ids) => {
      const slots = Math.max(waitingMax - waiting, 0);
      const given = await retryWhileUnavailable(
        () => reserveSlots(sql, { ids, slots, maxWaitSeconds: WAIT_MAX_SECONDS }),
        { timeoutMs: DATABASE_AWAY_MAX_MS },
      );
      const waits = new Map(given.map(({ id, waitMs }) => [id, waitMs]));
      return ids.map((id) => waits.get(id) ?? (waits.has(id) ? null : 0));
    },
  );

  return {
    async waitForTurn(deliveryId) {
      if (!(await state.read()).rated) return true;
      if (inHand.has(deliveryId)) return false; // A second hint would take a second turn
      inHand.add(deliveryId);
      try {
        const waitMs = await reserve(deliveryId);
        if (waitMs === null) return false;
        waiting += 1;
        await sleep(waitMs);
        waiting -= 1;
        return true;
      } finally {
        inHand.delete(deliveryId);
      }
    },
    async pause(senderId, reason) {
      await pauseSender(sql, { senderId, reason });
      state.forget();
    },
    async worked(senderId) {
      if (!(await state.read()).convalescent.includes(senderId)) return;
      await forgetPauses(sql, senderId);
      state.forget();
    },
  };
}

function createStateCache(
  read: () => Promise<SenderState>,
): { read: () => Promise<SenderState>; forget: () => void } {
  let state: Promise<SenderState> | undefined;
  let readAt = 0;

  return {
    read() {
      if (state === undefined || performance.now() - readAt > STATE_MAX_AGE_MS) {
        readAt = performance.now();
        const fresh = retryWhileUnavailable(read, { timeoutMs: DATABASE_AWAY_MAX_MS });
        fresh.catch(() => state = state === fresh ? undefined : state);
        state = fresh;
      }
      return state;
    },
    forget: () => state = undefined,
  };
}
