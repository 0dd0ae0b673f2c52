import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CHANNELS } from "../../src/shared/domain/delivery.ts";
import { allQueues, createTopology, queueArguments } from "../../src/shared/messaging/topology.ts";

describe("createTopology()", () => {
  const topology = createTopology();

  test("names the exchange and the queues as the design does", () => {
    assert.equal(topology.exchange.name, "notify");
    assert.deepEqual(allQueues(topology).map(({ name, routingKey }) => [name, routingKey]), [
      ["notify.dead", "dead"],
      ["notify.email", "email"],
      ["notify.sms", "sms"],
    ]);
  });

  test("begins every name with the prefix", () => {
    const other = createTopology("other");
    const names = [other.exchange.name, ...allQueues(other).map(({ name }) => name)];
    assert.deepEqual(names, ["other", "other.dead", "other.email", "other.sms"]);
  });

  test("sets whatever has another default in another version of RabbitMQ", () => {
    for (const { settings } of allQueues(topology)) {
      assert.ok(settings["delivery-limit"] > 0);
      assert.ok(settings["max-length"] > 0);
      assert.ok(settings.overflow);
    }
  });

  for (const channel of CHANNELS) {
    test(`sends dead ${channel} hints to the dead queue, and loses none on the way`, () => {
      const { settings } = topology.workQueues[channel];
      assert.equal(settings["dead-letter-exchange"], topology.exchange.name);
      assert.equal(settings["dead-letter-routing-key"], topology.deadQueue.routingKey);
      assert.equal(settings["dead-letter-strategy"], "at-least-once");
      assert.equal(settings.overflow, "reject-publish"); // Without it the strategy is not in force
    });
  }
});

describe("queueArguments()", () => {
  test("puts the type and the settings in the broker's words", () => {
    const { deadQueue } = createTopology();
    assert.deepEqual(
      queueArguments({ ...deadQueue, settings: { ...deadQueue.settings, "max-length": 7 } }),
      {
        "x-queue-type": "quorum",
        "x-delivery-limit": 20,
        "x-max-length": 7,
        "x-overflow": "drop-head",
      },
    );
  });
});
