import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createBatcher } from "../../src/shared/runtime/batch.ts";

/** A batcher whose flushes last until they are told to end. */
function createStuckBatcher(options: { max: number; atOnce?: number }) {
  const flushes: { items: number[]; end: () => void }[] = [];
  const add = createBatcher<number, number>({ lingerMs: 1, ...options }, (items) => {
    const { promise, resolve } = Promise.withResolvers<number[]>();
    flushes.push({ items, end: () => resolve(items.map((item) => item * 10)) });
    return promise;
  });
  const sizes = () => flushes.map(({ items }) => items.length);
  return { add, flushes, sizes };
}

describe("createBatcher()", () => {
  test("gives each caller its own item's result", async () => {
    const { add, flushes } = createStuckBatcher({ max: 3 });
    const results = Promise.all([1, 2, 3].map(add));
    flushes[0]?.end();
    assert.deepEqual(await results, [10, 20, 30]);
  });

  test("rejects those of a batch that failed, and no others", async () => {
    let fails = true;
    const add = createBatcher<number, number>({ max: 2, lingerMs: 1 }, (items) => {
      if (!fails) return Promise.resolve(items);
      fails = false;
      return Promise.reject(new Error("away"));
    });
    const results = await Promise.allSettled([1, 2, 3, 4].map(add));
    const states = results.map(({ status }) => status);
    assert.deepEqual(states, ["rejected", "rejected", "fulfilled", "fulfilled"]);
  });

  test("has no more than `atOnce` flushes under way, and lets the next batches grow", async () => {
    const { add, flushes, sizes } = createStuckBatcher({ max: 3, atOnce: 2 });
    const results = Promise.all(Array.from({ length: 14 }, (_, index) => add(index)));
    assert.deepEqual(sizes(), [3, 3]);
    // Each that ends makes room for one
    for (let ended = 0; ended < 5; ended += 1) {
      flushes[ended]?.end();
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.deepEqual(sizes(), [3, 3, 3, 3, 2]);
    assert.equal((await results).length, 14);
  });
});
