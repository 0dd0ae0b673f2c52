import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after } from "node:test";

/**
 * Stands where a Kubernetes Service stands: gives each request to the next replica, and to another one when the first
 * does not take the connection. Like a Service it never repeats a request that a replica has taken.
 */
export async function startLoadBalancer(
  backends: () => readonly string[],
  /** Keeps its connections to the replicas, as an Ingress does. */
  { keepAlive = false }: { keepAlive?: boolean } = {},
): Promise<{ url: string }> {
  const agent = keepAlive && new Agent({ keepAlive });
  let turn = 0;

  function pass(
    incoming: IncomingMessage,
    body: Uint8Array,
    answer: ServerResponse,
    tries: number,
  ) {
    const urls = backends();
    const backend = urls[turn++ % urls.length];
    if (backend === undefined || tries > urls.length) return void answer.writeHead(502).end();
    const { method, headers } = incoming;
    const url = new URL(incoming.url ?? "/", backend);
    const outgoing = request(url, { method, headers, agent }, (response) => {
      const { connection: _, ...headers } = response.headers; // Is said to us
      answer.writeHead(response.statusCode ?? 502, headers);
      response.pipe(answer);
    });
    outgoing.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED") return pass(incoming, body, answer, tries + 1);
      if (!answer.headersSent) answer.writeHead(502);
      answer.end();
    });
    outgoing.end(body);
  }

  const server = createServer(async (incoming, answer) => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of incoming) chunks.push(chunk);
    pass(incoming, Buffer.concat(chunks), answer, 0);
  });
  // A busy test process comes late to everything: it must not end a connection just as its client uses it again
  server.keepAliveTimeout = 0;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  after(() => {
    server.close();
    server.closeAllConnections();
    if (agent) agent.destroy();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}
