import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { after } from "node:test";

export type StoppingProxy = {
  /** The target's URL, by way of the proxy. */
  url: string;
  /** Keeps back what a client says from the first bytes that hold `words`. Resolves when they were said. */
  stopBefore: (words: string) => Promise<void>;
  /**
   * Lets what a client says after `words` through to the target, and from then on no answer: what was asked is done, and
   * the client does not know. `words` are those of a statement's first use, which PostgreSQL is only asked to parse.
   */
  stopAfter: (words: string) => Promise<void>;
};

type Stop = { words: string; where: "before" | "after"; said: () => void };

/** Stands between a client and a server to cut a conversation at a certain word. It ends with the test file. */
export async function createStoppingProxy(targetUrl: string): Promise<StoppingProxy> {
  const { hostname, port } = new URL(targetUrl);
  const sockets = new Set<Socket>();
  let stop: Stop | undefined;

  const server = createServer((client) => {
    const target = connect(Number(port), hostname);
    let state: "through" | "parsed" | "stopped" = "through";
    for (const [socket, other] of [[client, target], [target, client]] as const) {
      sockets.add(socket);
      socket.on("error", () => {}); // Killed on purpose
      socket.on("close", () => other.destroy());
    }
    target.on("data", (bytes) => state !== "stopped" && client.write(bytes));
    client.on("data", (bytes) => {
      if (state === "stopped") return;
      if (state === "parsed") {
        state = "stopped";
        target.write(bytes);
        stop?.said();
        return;
      }
      const meant = stop !== undefined && bytes.includes(stop.words);
      if (meant && stop?.where === "before") {
        state = "stopped";
        stop.said();
        return;
      }
      if (meant) state = "parsed";
      target.write(bytes);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });

  const url = new URL(targetUrl);
  url.hostname = "127.0.0.1";
  url.port = String((server.address() as AddressInfo).port);
  const plan = (where: Stop["where"]) => (words: string) =>
    new Promise<void>((said) => stop = { words, where, said });
  return { url: url.href, stopBefore: plan("before"), stopAfter: plan("after") };
}
