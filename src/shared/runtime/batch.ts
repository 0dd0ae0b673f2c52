export type BatchOptions = {
  /** Flushes as soon as this many items wait. */
  max: number;
  /** Flushes at the latest this long after the first item came. */
  lingerMs: number;
};

/**
 * Turns calls for one item into calls for many: the caller awaits its own item's result, the database sees one statement.
 *
 * `flush` returns a result for each item, in order. When it throws, every item of that batch rejects.
 */
export function createBatcher<Item, Result>(
  { max, lingerMs }: BatchOptions,
  flush: (items: Item[]) => Promise<readonly Result[]>,
): (item: Item) => Promise<Result> {
  type Waiting = {
    item: Item;
    resolve: (result: Result) => void;
    reject: (error: unknown) => void;
  };
  let waiting: Waiting[] = [];
  let timer: NodeJS.Timeout | undefined;

  async function send(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    const batch = waiting;
    waiting = [];
    try {
      const results = await flush(batch.map(({ item }) => item));
      batch.forEach(({ resolve }, index) => resolve(results[index] as Result));
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }

  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      if (waiting.length >= max) void send();
      else timer ??= setTimeout(() => void send(), lingerMs);
    });
}
