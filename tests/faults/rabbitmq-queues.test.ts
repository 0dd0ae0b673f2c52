import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { type AMQPChannel, AMQPClient } from "@cloudamqp/amqp-client";
import type { RabbitmqNode } from "../../scripts/services/rabbitmq.ts";
import type { Channel } from "../../src/shared/domain/delivery.ts";
import {
  allQueues,
  createTopology,
  type QueueSettings,
} from "../../src/shared/messaging/topology.ts";
import { CLINIC_KEY, deploy, type Deployment, type Replicated } from "../support/deployment.ts";
import { eventually } from "../support/eventually.ts";
import {
  assertEachOnce,
  notification,
  secondsUntilDrained,
  secondsUntilLeased,
  startLoad,
} from "../support/load.ts";
import { skipWithoutPrograms, startBroker } from "../support/rabbitmq-cluster.ts";
import { createTestConfig } from "../support/test-config.ts";

const VHOST = "notifications";
const topology = createTopology();
const { exchange, workQueues, deadQueue } = topology;

/** All that each service needs of RabbitMQ when the topology is declared in Git. */
const PERMISSIONS = {
  "notification-dispatcher": { configure: "^$", write: "^notify$", read: "^$" },
  "email-worker": { configure: "^$", write: "^$", read: "^notify\\.email$" },
  "sms-worker": { configure: "^$", write: "^$", read: "^notify\\.sms$" },
} satisfies Partial<Record<Replicated, unknown>>;
type Service = keyof typeof PERMISSIONS;
const SERVICES = Object.keys(PERMISSIONS) as Service[];

const RECOVERY_MAX_MS = 30_000;
/** More than a worker holds at once. */
const BURST = 200;
/** RabbitMQ counts how often a message was handed out, whatever became of it. */
const DELIVERIES_MAX = workQueues.email.settings["delivery-limit"] + 1;
const ROUNDS = 3;
const WITHHELD = 30;
const HOUR_MS = 3_600_000;

const skip = await skipWithoutPrograms();

test("queues, broken under load", { skip, concurrency: 2 }, async (t) => {
  const broker = await startBroker();
  const admin = await prepareBroker(broker);
  const deployment = await deploy({
    services: [],
    environment: { CONFIG_DIR: await createTestConfig() },
  });
  const url = (name: Service) => urlOf(broker, name);
  for (const name of SERVICES) await deployment.start(name, { AMQP_URL: url(name) });
  const worker = (channel: Channel) => deployment.replicas(`${channel}-worker`)[0];

  await t.test("services that may declare nothing find what is declared", async (t) => {
    const load = startLoad(deployment, { name: "permitted" });
    await load.untilSomeArrive(deployment);
    await assertEachOnce(t, deployment, { load });
  });

  await t.test("hints that nobody can read are set aside, and their neighbours arrive", async (t) => {
    const load = startLoad(deployment, { name: "poison" });
    await load.untilSomeArrive(deployment);
    const unreadable = [
      "",
      "{",
      '{"deliveryId":"1"}',
      '{"deliveryId":null}',
      JSON.stringify({ deliveryId: randomUUID(), version: 2 }),
      new Uint8Array([0xff, 0xfe, 0x00]),
      new Uint8Array(1024 * 1024),
    ];
    for (const channel of ["email", "sms"]) {
      for (const body of unreadable) await admin.basicPublish(exchange.name, channel, body);
    }
    await assertEachOnce(t, deployment, { load });
    const expected = 2 * unreadable.length;
    await eventually(
      "they are set aside",
      async () => await countReady(admin, deadQueue.name) === expected,
    );
    await admin.queuePurge(deadQueue.name);
  });

  await t.test("doubled hints send once, those of what is not to be sent send nothing", async (t) => {
    const load = startLoad(deployment, { name: "doubled" });
    const withheld = await submitForLater(deployment);
    await Promise.all(withheld.slice(0, WITHHELD / 2).map(({ url }) => post(`${url}/cancel`)));
    await load.untilSomeArrive(deployment);
    for (let round = 0; round < ROUNDS; round += 1) {
      await load.burst(BURST / ROUNDS);
      const known = await deployment.sql<{ id: string; channel: Channel }[]>`
        select id, channel from delivery.delivery order by id desc limit ${BURST}`;
      const hints = [...known, { id: randomUUID(), channel: "sms" }];
      for (const { id, channel } of [...hints, ...hints, ...hints]) {
        await admin.basicPublish(exchange.name, channel, JSON.stringify({ deliveryId: id }));
      }
    }
    await assertEachOnce(t, deployment, { load });
    const arrived = new Set(deployment.arrived());
    const sent = withheld.filter(({ deliveryId }) => arrived.has(deliveryId));
    assert.deepEqual(sent, [], "cancelled, or not due, and sent");
  });

  await t.test("a full queue takes no more, its hints wait in the ledger, and the other queue goes on", async (t) => {
    await setPolicy(broker, workQueues.sms.name, { ...workQueues.sms.settings, "max-length": 20 });
    worker("sms")?.signal("SIGSTOP");
    const load = startLoad(deployment, { name: "full-sms", channels: ["sms"] });
    const other = startLoad(deployment, { name: "full-email", channels: ["email"] });
    await load.burst(BURST);
    await other.untilSomeArrive(deployment);
    const ready = await countReady(admin, workQueues.sms.name);
    assert.ok(ready >= 20 && ready < 60, `${ready} wait in a queue of 20`);
    const others = await secondsUntilDrained(deployment, { load: other });
    worker("sms")?.signal("SIGCONT");
    const recovery = await secondsUntilLeased(deployment, { load, withinMs: RECOVERY_MAX_MS });
    await assertEachOnce(t, deployment, {
      load,
      measured: { "recovery seconds": recovery, "the other queue's seconds": others },
    });
    await assertEachOnce(t, deployment, { load: other });
    await setPolicy(broker, workQueues.sms.name, workQueues.sms.settings);
  });

  const crashing =
    t.test("a consumer that dies again and again uses up innocent hints: they come again", async (t) => {
      worker("email")?.signal("SIGSTOP");
      const load = startLoad(deployment, { name: "crashing", channels: ["email"], perSecond: 5 });
      await load.burst(BURST);
      await load.stop();
      const lost = await useUp(broker, { queue: workQueues.email.name, admin });
      worker("email")?.signal("SIGCONT");
      const recovery = await secondsUntilLeased(deployment, { load, withinMs: RECOVERY_MAX_MS });
      const measured = { "hints used up": lost, "recovery seconds": recovery };
      await assertEachOnce(t, deployment, { load, measured });
    });

  const deleted =
    t.test("a queue is deleted with hints in it: it is made again, they come again", async (t) => {
      await broker.ctl("set_permissions", "-p", VHOST, "notification-dispatcher", ".*", ".*", ".*");
      worker("sms")?.signal("SIGSTOP");
      const load = startLoad(deployment, { name: "deleted", channels: ["sms"], perSecond: 5 });
      await load.burst(BURST);
      await load.stop(); // Nothing that is asked for shows that the queue is gone
      await admin.queueDelete(workQueues.sms.name);
      worker("sms")?.signal("SIGCONT");
      const recovery = await secondsUntilLeased(deployment, { load, withinMs: RECOVERY_MAX_MS });
      await assertEachOnce(t, deployment, { load, measured: { "recovery seconds": recovery } });
    });
  await Promise.all([crashing, deleted]);

  await t.test("the exchange is deleted: it is made again, with its bindings", async (t) => {
    const load = startLoad(deployment, { name: "exchange" });
    await load.untilSomeArrive(deployment);
    await admin.exchangeDelete(exchange.name);
    await load.burst(BURST);
    const recovery = await secondsUntilLeased(deployment, { load, withinMs: RECOVERY_MAX_MS });
    await assertEachOnce(t, deployment, { load, measured: { "recovery seconds": recovery } });
  });
});

/** What an operator does: the vhost, the topology with policies in place of arguments, and a user for each service. */
async function prepareBroker(broker: RabbitmqNode): Promise<AMQPChannel> {
  await broker.ctl("add_vhost", VHOST);
  await broker.ctl("set_permissions", "-p", VHOST, "guest", ".*", ".*", ".*");
  for (const name of SERVICES) {
    const { configure, write, read } = PERMISSIONS[name];
    await broker.ctl("add_user", name, name);
    await broker.ctl("set_permissions", "-p", VHOST, name, configure, write, read);
  }
  const client = new AMQPClient(urlOf(broker, "guest"));
  await client.connect();
  const channel = await client.channel();
  await channel.exchangeDeclare(exchange.name, exchange.type, { durable: exchange.durable });
  for (const { name, durable, type, routingKey, settings } of allQueues(topology)) {
    await channel.queueDeclare(name, { durable }, { "x-queue-type": type });
    await channel.queueBind(name, exchange.name, routingKey);
    await setPolicy(broker, name, settings);
  }
  return channel;
}

function urlOf({ url }: RabbitmqNode, user: string): string {
  const result = new URL(url);
  result.username = result.password = user;
  result.pathname = VHOST;
  return result.href;
}

async function setPolicy(broker: RabbitmqNode, queue: string, settings: QueueSettings) {
  const pattern = `^${queue.replace(".", "\\.")}$`;
  await broker.ctl("set_policy", "-p", VHOST, queue, pattern, JSON.stringify(settings));
}

async function countReady(admin: AMQPChannel, queue: string): Promise<number> {
  const { messageCount } = await admin.queueDeclare(queue, { passive: true });
  return messageCount;
}

/** Consumes and dies, until RabbitMQ takes each hint for poison. Returns how many there were. */
async function useUp(
  broker: RabbitmqNode,
  { queue, admin }: { queue: string; admin: AMQPChannel },
): Promise<number> {
  const hints = await countReady(admin, queue);
  for (let deaths = 0; deaths < DELIVERIES_MAX; deaths += 1) {
    const client = new AMQPClient(urlOf(broker, "guest"));
    await client.connect();
    const channel = await client.channel();
    await channel.basicQos(hints);
    let received = 0;
    await channel.basicConsume(queue, { noAck: false }, () => void (received += 1));
    await eventually("it holds all of them", () => received === hints);
    client.socket?.destroy();
  }
  await eventually("they are used up", async () => {
    return await countReady(admin, deadQueue.name) === hints;
  });
  return hints;
}

/** Of what is not due for an hour, the delivery's id and the notification's address. */
async function submitForLater({ dispatcherUrl }: Deployment) {
  const sendAt = new Date(Date.now() + HOUR_MS).toISOString();
  return await Promise.all(Array.from({ length: WITHHELD }, async (_, index) => {
    const body = { ...notification(index, "sms", `later-${index}`), sendAt };
    const { id, deliveries } = await post(`${dispatcherUrl}/v1/notifications`, body) as {
      id: string;
      deliveries: { id: string }[];
    };
    return { deliveryId: deliveries[0]?.id ?? "", url: `${dispatcherUrl}/v1/notifications/${id}` };
  }));
}

async function post(url: string, body?: unknown): Promise<unknown> {
  const response = await fetch(url, {
    method: "POST",
    headers: { authorization: `Bearer ${CLINIC_KEY}`, "content-type": "application/json" },
    ...body !== undefined && { body: JSON.stringify(body) },
  });
  assert.ok(response.ok, `${url} answered ${response.status}`);
  return await response.json();
}
