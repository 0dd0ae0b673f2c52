import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { requestDelayMs } from "../../src/etl/request-delay.ts";

const NOW = new Date("2026-11-20T09:00:00Z");

function delay(changes: Partial<Parameters<typeof requestDelayMs>[0]>): number {
  return requestDelayMs({ attempt: 1, retryAfter: null, now: NOW, random: 0, ...changes });
}

describe("requestDelayMs()", () => {
  test("doubles up to half a minute", () => {
    const delays = [1, 2, 3, 20].map((attempt) => delay({ attempt, random: 1 }));
    assert.deepEqual(delays, [500, 1_000, 2_000, 30_000]);
  });

  test("spreads the second half of each delay", () => {
    assert.deepEqual([delay({ random: 0 }), delay({ random: 0.5 })], [250, 375]);
  });

  test("waits as long as the server asks: seconds or a date", () => {
    assert.equal(delay({ retryAfter: "7" }), 7_000);
    assert.equal(delay({ retryAfter: "Fri, 20 Nov 2026 09:00:40 GMT" }), 40_000);
  });

  test("waits two minutes at most", () => {
    assert.equal(delay({ retryAfter: "86400" }), 120_000);
    assert.equal(delay({ retryAfter: "Sat, 21 Nov 2026 09:00:00 GMT" }), 120_000);
  });

  test("goes by its own delay when the server's is past or cannot be read", () => {
    assert.equal(delay({ retryAfter: "Fri, 20 Nov 2026 08:00:00 GMT" }), 250);
    assert.equal(delay({ retryAfter: "soon" }), 250);
    assert.equal(delay({ retryAfter: "-5" }), 250);
  });
});
