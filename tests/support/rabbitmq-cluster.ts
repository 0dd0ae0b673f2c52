import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { after } from "node:test";
import {
  createNodeName,
  findRabbitmq,
  type RabbitmqNode,
  startRabbitmq,
} from "../../scripts/services/rabbitmq.ts";
import { freePort } from "../../scripts/services/server.ts";
import { type ErlangNetwork, startErlangNetwork } from "./erlang-network.ts";
import { eventually } from "./eventually.ts";

const SIZE = 3;
const FORMATION_TIMEOUT_MS = 60_000;
/** A node that hears nothing for so long takes the other for lost. RabbitMQ's default is 60. */
export const NET_TICK_SECONDS = 8;

export type RabbitmqCluster = {
  nodes: readonly RabbitmqNode[];
  network: ErlangNetwork;
  /** One address for all nodes, as a Kubernetes Service is. */
  url: string;
};

/** For tests that break a broker: one that was given, or one in a container, is not theirs to break. */
export async function skipWithoutPrograms(): Promise<string | false> {
  return await findRabbitmq() === null && "needs the programs of RabbitMQ";
}

/** A broker of its own, for tests that break it. It ends after the test (or the suite) that asked for it. */
export async function startBroker(): Promise<RabbitmqNode> {
  const node = await startRabbitmq(await programs());
  after(() => node.stop());
  return node;
}

/**
 * Three nodes that form a cluster, each with a network of its own between it and the others.
 *
 * As the Cluster Operator sets it up: of a cluster in pieces, the nodes of the smaller piece pause.
 */
export async function startRabbitmqCluster(): Promise<RabbitmqCluster> {
  const sbin = await programs();
  const cookie = randomBytes(16).toString("hex");
  const members = await Promise.all(Array.from({ length: SIZE }, async () => ({
    name: createNodeName(),
    distributionPort: await freePort(),
  })));
  const network = await startErlangNetwork(members);
  const settings = [
    "cluster_formation.peer_discovery_backend = classic_config",
    ...members.map(({ name }, index) =>
      `cluster_formation.classic_config.nodes.${index + 1} = ${name}`
    ),
    "cluster_partition_handling = pause_minority",
    `net_ticktime = ${NET_TICK_SECONDS}`,
  ];
  const nodes = await Promise.all(members.map(async ({ name, distributionPort }) => {
    const epmdPort = network.mapperPort(name);
    const node = await startRabbitmq(sbin, { name, distributionPort, epmdPort, cookie, settings });
    after(() => node.stop());
    return node;
  }));
  await untilComplete({ nodes });
  return { nodes, network, url: await startBalancer(nodes.map(({ url }) => url)) };
}

/** Waits until every node runs and knows the others. */
export async function untilComplete({ nodes }: Pick<RabbitmqCluster, "nodes">): Promise<void> {
  await eventually("all nodes are in the cluster", async () => {
    const counts = await Promise.all(nodes.map((node) => {
      return node.ctl("eval", "length(rabbit_nodes:all_running()).").catch(() => null);
    }));
    return counts.every((count) => count === `${SIZE}`);
  }, { timeoutMs: FORMATION_TIMEOUT_MS });
}

/** The node that leads a quorum queue, as `witness` knows it. */
export async function findLeader(
  { nodes }: Pick<RabbitmqCluster, "nodes">,
  { queue, witness = nodes[0] }: { queue: string; witness?: RabbitmqNode | undefined },
): Promise<RabbitmqNode> {
  // Not list_queues: there every node answers rabbitmqctl, to which no way leads through this network
  const leader = await witness?.ctl(
    "eval",
    `{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"${queue}">>)),
    {_, Leader} = amqqueue:get_pid(Q), io:format("~s", [Leader]).`,
  );
  const node = nodes.find(({ name }) => leader?.startsWith(name));
  if (node === undefined) throw new Error(`Cannot find the leader of ${queue}: ${leader}`);
  return node;
}

/** Gives each connection to the next node that takes it. */
async function startBalancer(urls: readonly string[]): Promise<string> {
  const sockets = new Set<Socket>();
  let turn = 0;

  async function connectToAny(): Promise<Socket | null> {
    for (let tries = 0; tries < urls.length; tries += 1) {
      const { hostname, port } = new URL(urls[turn++ % urls.length] as string);
      const target = connect(Number(port), hostname);
      const connected = await once(target, "connect").then(() => true, () => false);
      if (connected) return target;
    }
    return null;
  }

  function tie(socket: Socket, other: Socket): void {
    sockets.add(socket);
    socket.pipe(other);
    socket.on("error", () => {}); // Nodes die in these tests
    socket.on("close", () => {
      sockets.delete(socket);
      other.destroy();
    });
  }

  const server = createServer(async (client) => {
    const target = await connectToAny();
    if (target === null) return void client.destroy();
    tie(client, target);
    tie(target, client);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const url = new URL(urls[0] as string);
  url.port = `${(server.address() as AddressInfo).port}`;
  return url.href;
}

async function programs(): Promise<string> {
  const sbin = await findRabbitmq();
  if (sbin === null) throw new Error("Cannot start a broker: RabbitMQ is not installed");
  return sbin;
}
