import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { after } from "node:test";

// The Erlang Distribution Protocol, "EPMD Protocol": https://www.erlang.org/doc/apps/erts/erl_dist_protocol
const ALIVE2_REQUEST = 120;
const ALIVE2_X_RESPONSE = 118;
const PORT_PLEASE2_REQUEST = 122;
const PORT2_RESPONSE = 119;
const NAMES_REQUEST = 110;
const LENGTH_BYTES = 2;
const NORMAL_NODE = 77;
const TCP_IPV4 = 0;
const DISTRIBUTION = { highest: 6, lowest: 5 };
const NO_EXTRA = [0, 0];

export type ErlangNode = {
  /** Whole, with the host. */
  name: string;
  distributionPort: number;
};

export type ErlangNetwork = {
  /** Of the port mapper that this node is to ask for the others. */
  mapperPort: (name: string) => number;
  /** From now on nothing passes between this node and the others, and nobody is told. */
  isolate: (name: string) => void;
  /** What was kept back goes on its way. */
  heal: () => void;
};

/** From one node to another. Each way is a link of its own: whoever connects first uses it for both. */
type Link = { from: string; to: string; port: number; setFrozen: (frozen: boolean) => void };

/**
 * The network between Erlang nodes of this machine, as one that can be cut without any rights.
 *
 * Erlang asks a port mapper (epmd) where another node listens. Here each node has a mapper of its own, which sends it
 * to a proxy in place of the other node. It ends after the test (or the suite) that asked for it.
 */
export async function startErlangNetwork(nodes: readonly ErlangNode[]): Promise<ErlangNetwork> {
  const links: Link[] = [];
  for (const { name: from } of nodes) {
    for (const { name: to, distributionPort } of nodes) {
      if (from !== to) links.push({ from, to, ...await startLink(distributionPort) });
    }
  }
  const mappers = new Map<string, number>();
  for (const { name, distributionPort } of nodes) {
    const portOf = (other: string) =>
      other === shortName(name)
        ? distributionPort // rabbitmqctl asks for its own node
        : links.find(({ from, to }) => from === name && shortName(to) === other)?.port ?? null;
    mappers.set(name, await startMapper(portOf));
  }
  return {
    mapperPort: (name) => mappers.get(name) ?? 0,
    isolate: (name) => {
      for (const link of links) {
        if (link.from === name || link.to === name) link.setFrozen(true);
      }
    },
    heal: () => {
      for (const link of links) link.setFrozen(false);
    },
  };
}

async function startLink(targetPort: number): Promise<Pick<Link, "port" | "setFrozen">> {
  const peers = new Map<Socket, Socket>();
  let frozen = false;

  function carry(from: Socket, to: Socket): void {
    peers.set(from, to);
    if (!frozen) from.pipe(to);
    from.on("error", () => {}); // Nodes die in these tests
    from.on("close", () => {
      peers.delete(from);
      if (!frozen) to.destroy();
    });
  }
  const port = await listen(createServer((client) => {
    const target = connect(targetPort, "127.0.0.1");
    carry(client, target);
    carry(target, client);
  }));
  return {
    port,
    setFrozen: (value) => {
      frozen = value;
      for (const [socket, peer] of peers) {
        if (frozen) socket.unpipe().pause();
        else if (peer.destroyed) socket.destroy(); // Its end is known only now
        else socket.pipe(peer);
      }
    },
  };
}

async function startMapper(portOf: (name: string) => number | null): Promise<number> {
  return await listen(createServer((socket) => {
    let received = Buffer.alloc(0);
    socket.on("error", () => {});
    socket.on("data", (bytes: Buffer) => {
      received = Buffer.concat([received, bytes]);
      if (received.length < LENGTH_BYTES) return;
      const end = LENGTH_BYTES + received.readUInt16BE(0);
      if (received.length < end) return;
      answer(socket, received.subarray(LENGTH_BYTES, end), portOf);
    });
  }));
}

function answer(
  socket: Socket,
  request: Buffer,
  portOf: (name: string) => number | null,
): void {
  switch (request[0]) {
    case ALIVE2_REQUEST:
      // The connection stays open. The four random bytes tell one life of a node from the next
      return void socket.write(Buffer.from([ALIVE2_X_RESPONSE, 0, ...randomBytes(4)]));
    case PORT_PLEASE2_REQUEST: {
      const name = request.subarray(1);
      return void socket.end(portResponse(name, portOf(name.toString())));
    }
    case NAMES_REQUEST: { // A node looks for others of its own name: the list is empty but for its head
      const mapperPort = socket.localPort ?? 0;
      return void socket.end(Buffer.from([0, 0, ...bytesOf(mapperPort)]));
    }
    default:
      socket.destroy();
  }
}

function portResponse(name: Buffer, port: number | null): Buffer {
  if (port === null) return Buffer.from([PORT2_RESPONSE, 1]);
  const versions = [...bytesOf(DISTRIBUTION.highest), ...bytesOf(DISTRIBUTION.lowest)];
  const fields = [...bytesOf(port), NORMAL_NODE, TCP_IPV4, ...versions, ...bytesOf(name.length)];
  return Buffer.from([PORT2_RESPONSE, 0, ...fields, ...name, ...NO_EXTRA]);
}

/** Two bytes, the greater first. */
function bytesOf(number: number): [number, number] {
  return [number >> 8, number & 0xff];
}

async function listen(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

/** The port mapper knows the part before the @. */
function shortName(name: string): string {
  return name.split("@")[0] ?? name;
}
