import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { TestContext } from "node:test";

export type TcpProxy = {
  /** The target's URL, by way of the proxy. */
  url: string;
  /** Resets all connections. */
  cut: () => void;
  /** New connections go to another target from now on. */
  lead: (targetUrl: string) => void;
  /** From now on, new connections are reset at once, or let through again. */
  refuse: (refusing: boolean) => void;
  /** How many connections it has refused. */
  refused: () => number;
  /** The network swallows everything: nothing passes, and nobody is told. Lasts until the connections are cut. */
  freeze: () => void;
  /** Keeps back what clients say, or lets it go on. */
  hold: (holding: boolean) => void;
  /** Says something to the clients in the target's place. */
  inject: (bytes: Uint8Array) => void;
};

type Pair = { client: Socket; target: Socket; frozen: boolean };

/** Stands between a client and a server, and does to them what networks do. */
export async function createTcpProxy(t: TestContext, targetUrl: string): Promise<TcpProxy> {
  let { hostname, port } = new URL(targetUrl);
  const pairs = new Set<Pair>();
  let refusing = false;
  let refused = 0;

  const server = createServer((client) => {
    client.on("error", () => {}); // What the tests do on purpose
    if (refusing) {
      refused += 1;
      client.resetAndDestroy();
      return;
    }
    const target = connect(Number(port), hostname);
    target.on("error", () => {});
    const pair = { client, target, frozen: false };
    pairs.add(pair);
    client.pipe(target);
    target.pipe(client);
    const end = () => {
      if (pair.frozen) return;
      client.destroy();
      target.destroy();
      pairs.delete(pair);
    };
    client.on("close", end);
    target.on("close", end);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  const cut = () => {
    for (const { client, target } of pairs) {
      client.resetAndDestroy();
      target.destroy();
    }
    pairs.clear();
  };
  t.after(() => {
    cut();
    server.close();
  });

  const url = new URL(targetUrl);
  url.hostname = "127.0.0.1";
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.href,
    cut,
    lead: (url) => ({ hostname, port } = new URL(url)),
    refuse: (value) => refusing = value,
    refused: () => refused,
    freeze: () => {
      for (const pair of pairs) {
        pair.frozen = true;
        pair.client.unpipe().pause();
        pair.target.unpipe().pause();
      }
    },
    hold: (holding) => {
      for (const { client } of pairs) holding ? client.pause() : client.resume();
    },
    inject: (bytes) => {
      for (const { client } of pairs) client.write(bytes);
    },
  };
}
