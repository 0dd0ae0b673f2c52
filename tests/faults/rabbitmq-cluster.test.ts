import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { createTopology } from "../../src/shared/messaging/topology.ts";
import { deploy } from "../support/deployment.ts";
import { assertEachOnce, secondsUntilLeased, startLoad } from "../support/load.ts";
import {
  findLeader,
  skipWithoutPrograms,
  startRabbitmqCluster,
  untilComplete,
} from "../support/rabbitmq-cluster.ts";
import { createTestConfig } from "../support/test-config.ts";

const QUEUE = createTopology().workQueues.email.name;
/** The smaller part notices after a net tick that it is alone; what it held back is hinted again soon after. */
const RECOVERY_MAX_MS = 30_000;
const BURST = 100;
const LONG = process.env.CARILLON_FAULTS_LONG === "1";
const ROUNDS = LONG ? 5 : 1;

const skip = await skipWithoutPrograms();

test("a RabbitMQ cluster of three, broken under load", { skip }, async (t) => {
  const cluster = await startRabbitmqCluster();
  const deployment = await deploy({
    services: ["notification-dispatcher", "email-worker", "sms-worker"],
    replicasOfEach: 1,
    environment: { AMQP_URL: cluster.url, CONFIG_DIR: await createTestConfig() },
  });

  for (let round = 1; round <= ROUNDS; round += 1) {
    await t.test("the leader of the queues is killed: the others go on", async (t) => {
      await untilComplete(cluster);
      const load = startLoad(deployment, { name: `leader-${round}` });
      await load.untilSomeArrive(deployment);
      const killed = await findLeader(cluster, { queue: QUEUE });
      await killed.kill();
      await load.burst(BURST);
      const recovery = await secondsUntilLeased(deployment, { load, withinMs: RECOVERY_MAX_MS });
      await assertEachOnce(t, deployment, { load, measured: { "recovery seconds": recovery } });
      await killed.restart();
    });

    await t.test("the leader is cut off, and comes back: the majority goes on", async (t) => {
      await untilComplete(cluster);
      const load = startLoad(deployment, { name: `minority-${round}` });
      await load.untilSomeArrive(deployment);
      const alone = await findLeader(cluster, { queue: QUEUE });
      const witness = cluster.nodes.find((node) => node !== alone);
      cluster.network.isolate(alone.name);
      await load.burst(BURST);
      const recovery = await secondsUntilLeased(deployment, { load, withinMs: RECOVERY_MAX_MS });
      const leader = await findLeader(cluster, { queue: QUEUE, witness });
      assert.notEqual(leader.name, alone.name, "the majority has a leader of its own");
      cluster.network.heal();
      await assertEachOnce(t, deployment, { load, measured: { "recovery seconds": recovery } });
    });

    if (!LONG) break; // One node wiped is quicker, and as bad
    await t.test("all nodes wiped at once: what waited arrives all the same", async (t) => {
      const load = startLoad(deployment, { name: `all-${round}` });
      await load.untilSomeArrive(deployment);
      await Promise.all(cluster.nodes.map((node) => node.kill()));
      await load.burst(BURST);
      await Promise.all(cluster.nodes.map((node) => node.wipe()));
      await Promise.all(cluster.nodes.map((node) => node.restart()));
      const recovery = await secondsUntilLeased(deployment, { load, withinMs: RECOVERY_MAX_MS });
      await assertEachOnce(t, deployment, { load, measured: { "recovery seconds": recovery } });
    });
  }
});
