import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { deploy } from "../support/deployment.ts";
import { eventually } from "../support/eventually.ts";
import { assertEachOnce, secondsSince, secondsUntilLeased, startLoad } from "../support/load.ts";
import { skipWithoutPrograms, startBroker } from "../support/rabbitmq-cluster.ts";
import { createTcpProxy } from "../support/tcp-proxy.ts";
import { createTestConfig } from "../support/test-config.ts";

const SERVICES = ["notification-dispatcher", "email-worker", "sms-worker"] as const;
/** From the broker's return, with no human. */
const RECOVERY_MAX_MS = 30_000;
const TWO_HEARTBEATS_MS = 20_000;
/** More than a worker holds at once, and than a publisher has unconfirmed. */
const BURST = 300;
const ROUNDS = process.env.CARILLON_FAULTS_LONG === "1" ? 5 : 1;

const skip = await skipWithoutPrograms();

test("one RabbitMQ node, broken under load", { skip }, async (t) => {
  const broker = await startBroker();
  const proxy = await createTcpProxy(t, broker.url);
  const deployment = await deploy({
    services: SERVICES,
    replicasOfEach: 1,
    environment: { AMQP_URL: proxy.url, CONFIG_DIR: await createTestConfig() },
  });
  const { sql, replicas } = deployment;
  const signalWorkers = (signal: NodeJS.Signals) => {
    for (const name of ["email-worker", "sms-worker"] as const) replicas(name)[0]?.signal(signal);
  };

  for (let round = 1; round <= ROUNDS; round += 1) {
    await t.test("killed and started again: what is asked for meanwhile arrives too", async (t) => {
      const load = startLoad(deployment, { name: `killed-${round}` });
      await load.untilSomeArrive(deployment);
      await broker.kill();
      await load.burst(BURST);
      await broker.restart();
      const recovery = await secondsUntilLeased(deployment, { load, withinMs: RECOVERY_MAX_MS });
      await assertEachOnce(t, deployment, { load, measured: { "recovery seconds": recovery } });
    });

    await t.test("wiped: what waited in its queues arrives all the same", async (t) => {
      signalWorkers("SIGSTOP");
      const load = startLoad(deployment, { name: `wiped-${round}` });
      await load.burst(BURST);
      await broker.kill();
      await broker.wipe();
      signalWorkers("SIGCONT");
      await broker.restart();
      const recovery = await secondsUntilLeased(deployment, { load, withinMs: RECOVERY_MAX_MS });
      await assertEachOnce(t, deployment, { load, measured: { "recovery seconds": recovery } });
    });

    await t.test("a memory alarm: publishing waits until it is over, submits do not", async (t) => {
      const load = startLoad(deployment, { name: `alarm-${round}` });
      await load.untilSomeArrive(deployment);
      await broker.ctl("set_vm_memory_high_watermark", "0.0001");
      await load.burst(BURST);
      await eventually("hints wait in the ledger", async () => {
        const [{ waiting }] = await sql<[{ waiting: number }]>`
        select count(*)::int as waiting from delivery.delivery where status = 'scheduled'`;
        return waiting > 0;
      });
      await broker.ctl("set_vm_memory_high_watermark", "0.4");
      const recovery = await secondsUntilLeased(deployment, { load, withinMs: RECOVERY_MAX_MS });
      await assertEachOnce(t, deployment, { load, measured: { "recovery seconds": recovery } });
    });

    await t.test("it stops reading with the window full, then resets: every publish settles", async (t) => {
      const load = startLoad(deployment, { name: `reset-${round}` });
      await load.untilSomeArrive(deployment);
      proxy.hold(true);
      await load.burst(BURST);
      proxy.cut();
      proxy.hold(false);
      const recovery = await secondsUntilLeased(deployment, { load, withinMs: RECOVERY_MAX_MS });
      await assertEachOnce(t, deployment, { load, measured: { "recovery seconds": recovery } });
    });

    await t.test("the network swallows everything: noticed within two heartbeats", async (t) => {
      const load = startLoad(deployment, { name: `swallowed-${round}` });
      await load.untilSomeArrive(deployment);
      const connections = () => deployment.output().match(/connected to RabbitMQ/g)?.length ?? 0;
      const before = connections();
      proxy.freeze();
      const frozenAt = performance.now();
      await load.burst(BURST);
      await eventually("every service has connected anew", () => {
        return connections() === before + SERVICES.length;
      }, { timeoutMs: TWO_HEARTBEATS_MS });
      const noticed = secondsSince(frozenAt);
      const recovery = await secondsUntilLeased(deployment, { load, withinMs: RECOVERY_MAX_MS });
      const measured = { "seconds until noticed": noticed, "recovery seconds": recovery };
      await assertEachOnce(t, deployment, { load, measured });
    });
  }

  await t.test("afterwards every service still stops when it is asked to", async () => {
    for (const name of SERVICES) {
      const [service] = replicas(name);
      service?.signal("SIGTERM");
      assert.equal(await service?.exited, 0, `exit code of ${name}`);
    }
    const output = deployment.output();
    assert.doesNotMatch(output, /deliveryId|traceparent|<Buffer/, "bodies of messages in logs");
    assert.doesNotMatch(output, /@patients\.example\.org|\+346/, "addresses in logs");
  });
});
