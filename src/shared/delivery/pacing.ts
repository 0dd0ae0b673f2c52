import type { Db } from "../database/connect.ts";
import {
  endTrouble,
  forgetPauses,
  pauseSender,
  readSenderState,
  reserveSlots,
  type SenderState,
  tryNext,
} from "../database/sender-rates.ts";
import { retryWhileUnavailable } from "../database/retry.ts";
import type { Channel } from "../domain/delivery.ts";
import type { SenderUnusable } from "../domain/outcome.ts";
import { createBatcher } from "../runtime/batch.ts";
import { type Clock, sleep, systemClock } from "../runtime/clock.ts";
import { BATCH_MAX, DATABASE_AWAY_MAX_MS, LINGER_MS } from "./leasing.ts";

const STATE_MAX_AGE_MS = 2_000;
const WAIT_MAX_SECONDS = 10;
const UNANSWERED_PAUSE_SECONDS = 5;

/** A delivery that was called, and whether its sender's others wait for what comes of it. */
export type Tried = { senderId: string; probe: boolean };

export type Pacing = {
  /** Waits for the turn of the delivery's sender. False: another hint waits for it, or it is far off and will come again. */
  waitForTurn: (deliveryId: string) => Promise<boolean>;
  pause: (tried: Tried, reason: SenderUnusable["reason"]) => Promise<void>;
  /** To be told of every success: it ends a sender's troubles. */
  worked: (tried: Tried) => Promise<void>;
  /** To be told of what says nothing of the sender: another delivery may try, a little later when there was no answer. */
  showedNothing: (tried: Tried, options: { answered: boolean }) => Promise<void>;
};

/** Keeps the senders' rates and pauses. Costs nothing while no sender has a rate and none is in trouble. */
export function createPacing(
  sql: Db,
  { channel, prefetch, clock = systemClock }: {
    channel: Channel;
    prefetch: number;
    clock?: Clock | undefined;
  },
): Pacing {
  const state = createStateCache(() => readSenderState(sql, channel), clock);
  // Whoever waits has a hand that another sender's hint could use
  const waitingMax = Math.ceil(prefetch / 2);
  const inHand = new Set<string>();
  let waiting = 0;

  const reserve = createBatcher<string, number | null>(
    { max: BATCH_MAX, lingerMs: LINGER_MS, clock },
    async (ids) => {
      const slots = Math.max(waitingMax - waiting, 0);
      const given = await retryWhileUnavailable(
        () => reserveSlots(sql, { ids, slots, maxWaitSeconds: WAIT_MAX_SECONDS }),
        { timeoutMs: DATABASE_AWAY_MAX_MS, clock },
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
        await sleep(clock, waitMs);
        waiting -= 1;
        return true;
      } finally {
        inHand.delete(deliveryId);
      }
    },
    async pause({ senderId, probe }, reason) {
      await pauseSender(sql, { senderId, reason, probe });
      state.forget();
    },
    async showedNothing({ senderId, probe }, { answered }) {
      const afterSeconds = answered ? 0 : UNANSWERED_PAUSE_SECONDS;
      if (probe) await tryNext(sql, { senderId, afterSeconds });
    },
    async worked({ senderId, probe }) {
      if (probe) await endTrouble(sql, senderId);
      if (!(await state.read()).convalescent.includes(senderId)) return;
      await forgetPauses(sql, senderId);
      state.forget();
    },
  };
}

function createStateCache(
  read: () => Promise<SenderState>,
  clock: Clock,
): { read: () => Promise<SenderState>; forget: () => void } {
  let state: Promise<SenderState> | undefined;
  let readAt = 0;

  return {
    read() {
      if (state === undefined || clock.now() - readAt > STATE_MAX_AGE_MS) {
        readAt = clock.now();
        const fresh = retryWhileUnavailable(read, {
          timeoutMs: DATABASE_AWAY_MAX_MS,
          clock,
        });
        // Returns nothing: a later read, which may fail too, would be nobody's to handle, and end the process
        fresh.catch(() => {
          if (state === fresh) state = undefined;
        });
        state = fresh;
      }
      return state;
    },
    forget: () => state = undefined,
  };
}
