import type { Clock } from "../runtime/clock.ts";

/** A sender whose calls take longer than this while all its places are taken gets no more of them. */
const PATIENCE_MS = 2_000;

/** Makes a call in one of the sender's places. Null: they are all taken by calls that do not end. */
export type Room = <Result>(
  senderId: string,
  call: () => Promise<Result>,
) => Promise<Result | null>;

type Place = { since: number };

type Places = {
  /** The oldest call first. */
  taken: Set<Place>;
  /** Each is told of the place it gets; null: none. */
  waiting: Set<(place: Place | null) => void>;
};

/** Keeps the calls of one sender, however slow, from taking every hand and every connection of a worker. */
export function createRoom({ perSender, clock }: { perSender: number; clock: Clock }): Room {
  const senders = new Map<string, Places>();

  function take({ taken }: Places): Place {
    const place = { since: clock.now() };
    taken.add(place);
    return place;
  }

  /** Null once a call has lasted too long: while calls end, there is a place for everybody in time. */
  function waitForPlace({ taken, waiting }: Places): Promise<Place | null> {
    return new Promise((resolve) => {
      let callOff = () => {};
      const answer = (place: Place | null) => {
        callOff();
        waiting.delete(answer);
        resolve(place);
      };
      const look = () => {
        const [oldest] = taken;
        const patienceMs = (oldest?.since ?? 0) + PATIENCE_MS - clock.now();
        if (patienceMs <= 0) answer(null);
        else callOff = clock.after(patienceMs, look);
      };
      waiting.add(answer);
      look();
    });
  }

  return async (senderId, call) => {
    const places = senders.get(senderId) ?? { taken: new Set(), waiting: new Set() };
    senders.set(senderId, places);
    const place = places.taken.size < perSender ? take(places) : await waitForPlace(places);
    if (place === null) return null;
    try {
      return await call();
    } finally {
      places.taken.delete(place);
      const [next] = places.waiting;
      if (next !== undefined) next(take(places));
      else if (places.taken.size === 0) senders.delete(senderId);
    }
  };
}
