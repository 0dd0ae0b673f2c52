import type { Channel } from "../shared/domain/delivery.ts";

/**
 * How many hints of a channel wait in its queue at most, whatever is due: the rest waits in the ledger, where it can
 * still take turns.
 *
 * In the queue everybody waits for what came before; so a clinic with a hundred thousand reminders would stand before one
 * with three. With this much before it a message waits as long as the workers need for so many, and no longer.
 * For KEDA the queue's length still says whether there is more due than the workers do: it stays at this number as long
 * as that is so. It is enough to ask for every replica while it is at least KEDA's `value` times `maxReplicaCount`.
 */
export const READY_MAX = 500;

/** While fewer wait, a hint goes to the queue as its notification is accepted. Beyond it the relay sees to the turns. */
const AT_ONCE_MAX = 200;
/** So many go at once all the same, between two looks: word that an appointment is off cannot wait behind reminders. */
const URGENT_MAX = 20;

/** What this process knows of the room in the queues between two looks at them. */
export type QueueRoom = {
  /** Whether one more hint may go to the queue at once. */
  take: (channel: Channel, options: { urgent: boolean }) => boolean;
  /** To be told how many hints wait. */
  look: (channel: Channel, ready: number) => void;
};

export function createQueueRoom(): QueueRoom {
  const room: Record<Channel, number> = { email: AT_ONCE_MAX, sms: AT_ONCE_MAX };

  return {
    take: (channel, { urgent }) => {
      if (room[channel] <= (urgent ? -URGENT_MAX : 0)) return false;
      room[channel] -= 1;
      return true;
    },
    look: (channel, ready) => room[channel] = Math.max(AT_ONCE_MAX - ready, 0),
  };
}
