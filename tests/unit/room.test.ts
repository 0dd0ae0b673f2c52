import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createRoom } from "../../src/shared/delivery/room.ts";

/** A clock that the test moves. */
function createTestClock() {
  let now = 0;
  let timers: { at: number; work: () => void }[] = [];
  return {
    now: () => now,
    after: (ms: number, work: () => void) => {
      const timer = { at: now + ms, work };
      timers.push(timer);
      return () => void (timers = timers.filter((other) => other !== timer));
    },
    pass: (ms: number) => {
      now += ms;
      for (const timer of timers.filter(({ at }) => at <= now)) timer.work();
    },
  };
}

function setUp() {
  const clock = createTestClock();
  const room = createRoom({ perSender: 2, clock });
  const begun: string[] = [];
  /** Begins a call, and returns its result and what ends it. */
  function enter(name: string, senderId = "oak:sms") {
    const { promise, resolve } = Promise.withResolvers<string>();
    const result = room(senderId, () => {
      begun.push(name);
      return promise;
    });
    return { result, end: () => resolve(name) };
  }
  return { clock, begun, enter };
}

describe("createRoom()", () => {
  test("lets a sender make so many calls at once, and the next when one ends", async () => {
    const { begun, enter } = setUp();
    const [first, second, third] = [enter("first"), enter("second"), enter("third")];
    assert.deepEqual(begun, ["first", "second"]);
    first.end();
    assert.equal(await first.result, "first");
    assert.deepEqual(begun.length, 3);
    second.end();
    third.end();
    assert.equal(await third.result, "third");
  });

  test("turns those away who would wait for calls that do not end", async () => {
    const { clock, begun, enter } = setUp();
    const [first, , third] = [enter("first"), enter("second"), enter("third")];
    clock.pass(2_000);
    assert.equal(await third.result, null);
    assert.equal(await enter("fourth").result, null, "at once");
    first.end();
    await first.result;
    enter("fifth");
    assert.deepEqual(begun, ["first", "second", "fifth"]);
  });

  test("keeps those who wait while calls end, however long the line is", async () => {
    const { clock, enter } = setUp();
    const [first, second, third, , fifth] = ["1st", "2nd", "3rd", "4th", "5th"].map((name) =>
      enter(name)
    );
    clock.pass(1_500);
    first?.end();
    second?.end();
    await Promise.all([first?.result, second?.result]);
    clock.pass(1_000);
    third?.end();
    fifth?.end();
    assert.equal(await fifth?.result, "5th");
  });

  test("has places for others meanwhile", () => {
    const { begun, enter } = setUp();
    for (const name of ["first", "second", "third"]) enter(name);
    enter("other", "ruiz:sms");
    assert.deepEqual(begun, ["first", "second", "other"]);
  });

  test("gives the place of a call that threw to the next", async () => {
    const room = createRoom({ perSender: 1, clock: createTestClock() });
    const broken = room("oak:sms", () => Promise.reject(new Error("broken")));
    const next = room("oak:sms", () => Promise.resolve("next"));
    await assert.rejects(broken);
    assert.equal(await next, "next");
  });
});
