import { type Clock, systemClock } from "./clock.ts";

export type BatchOptions = {
  /** Flushes as soon as this many items wait. */
  max: number;
  /** Flushes at the latest this long after the first item came. */
  lingerMs: number;
  /** Flushes at once. While so many are under way the others grow instead. Left out: any number. */
  atOnce?: number | undefined;
  clock?: Clock | undefined;
};

/**
 * Turns calls for one item into calls for many: the caller awaits its own item's result, the database sees one statement.
 *
 * `flush` returns a result for each item, in order. When it throws, every item of that batch rejects.
 */
export function createBatcher<Item, Result>(
  { max, lingerMs, atOnce = Infinity, clock = systemClock }: BatchOptions,
  flush: (items: Item[]) => Promise<readonly Result[]>,
): (item: Item) => Promise<Result> {
  type Waiting = {
    item: Item;
    resolve: (result: Result) => void;
    reject: (error: unknown) => void;
  };
  const waiting: Waiting[] = [];
  let underWay = 0;
  let callOff: (() => void) | undefined;

  async function send(): Promise<void> {
    callOff?.();
    callOff = undefined;
    if (waiting.length === 0 || underWay >= atOnce) return;
    const batch = waiting.splice(0, max);
    underWay += 1;
    try {
      const results = await flush(batch.map(({ item }) => item));
      batch.forEach(({ resolve }, index) => resolve(results[index] as Result));
    } catch (error) {
      for (const { reject } of batch) reject(error);
    } finally {
      const wereAll = underWay >= atOnce;
      underWay -= 1;
      if (wereAll) void send();
    }
  }

  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      if (waiting.length >= max) void send();
      else callOff ??= clock.after(lingerMs, () => void send());
    });
}
