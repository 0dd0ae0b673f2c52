import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  createQueueRoom,
  type QueueRoom,
  READY_MAX,
} from "../../src/notification-dispatcher/queue-room.ts";

/** How many hints go to the queue at once when a thousand are to. */
function takeAll(room: QueueRoom, { urgent = false } = {}): number {
  return Array.from({ length: 1_000 }, () => room.take("sms", { urgent })).filter(Boolean).length;
}

describe("createQueueRoom()", () => {
  test("has room for a while before anybody has looked, and no more", () => {
    const room = createQueueRoom();
    const taken = takeAll(room);
    assert.ok(taken > 0 && taken < READY_MAX, String(taken));
    assert.equal(takeAll(room), 0);
    assert.equal(room.take("email", { urgent: false }), true, "each channel has its own");
  });

  test("has as much room as the queue has at each look", () => {
    const room = createQueueRoom();
    const all = takeAll(room);
    room.look("sms", 50);
    assert.equal(takeAll(room), all - 50);
    room.look("sms", READY_MAX);
    assert.equal(takeAll(room), 0);
    room.look("sms", 0);
    assert.equal(takeAll(room), all);
  });

  test("has a little room for what is urgent when there is none for others", () => {
    const room = createQueueRoom();
    room.look("sms", READY_MAX);
    assert.equal(takeAll(room), 0);
    const urgent = takeAll(room, { urgent: true });
    assert.ok(urgent > 0 && urgent < 100, String(urgent));
  });
});
