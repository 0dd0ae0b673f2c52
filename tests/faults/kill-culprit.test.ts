import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { describeVerdict, startFaultWorld } from "../support/fault-world.ts";
import { readDelivery, readHistory } from "../support/ledger.ts";
import { skipWithoutBroker } from "../support/queue.ts";

const NEIGHBOURS = 10;
const LOST_LEASES_MAX = 5;
const forever = new Promise<never>(() => {});

describe("a delivery that ends its worker each time", { skip: skipWithoutBroker() }, () => {
  test("is parked with its reason after five workers, and its neighbours are delivered once", async (t) => {
    const world = await startFaultWorld(["notification-dispatcher"]);
    const { deployment, twilio, submit } = world;
    const { sql } = deployment;
    // Its clinic is its own, so that its calls are known by their sender
    const from = "ClinicaRuiz";
    twilio.fail("POST", forever, Infinity, { from });
    const { deliveryId: culprit } = await submit("sms", { clinic: "ruiz" });
    const neighbours = await Promise.all(Array.from({ length: NEIGHBOURS }, () => submit("sms")));

    for (let died = 0; died < LOST_LEASES_MAX; died += 1) {
      const worker = await deployment.start("sms-worker");
      await eventually(`the worker works on it, time ${died + 1}`, async () => {
        await world.endDelays();
        return twilio.calls("POST", { from }) > died;
      }, { timeoutMs: 30_000 });
      await deployment.kill("sms-worker", worker);
      await world.endLeases();
    }
    await deployment.start("sms-worker");
    await world.untilNoneIsOpen();

    const { status, reason } = await readDelivery(sql, culprit);
    assert.deepEqual([status, reason], ["technical_failure", "ambiguous_unresolved"]);
    assert.equal(twilio.calls("POST", { from }), LOST_LEASES_MAX, "calls for the culprit");
    assert.equal(
      (await readHistory(sql, culprit)).at(-1),
      "technical_failure ambiguous_unresolved",
    );
    for (const { deliveryId } of neighbours) {
      assert.equal((await readDelivery(sql, deliveryId)).status, "sent");
    }
    const verdict = await world.verdict();
    t.diagnostic(describeVerdict(`a culprit that ended ${LOST_LEASES_MAX} workers`, verdict));
    assert.deepEqual(
      [verdict.lost, verdict.duplicated, verdict.unexpected, verdict.arrived],
      [[], {}, [], NEIGHBOURS],
    );
  });
});
