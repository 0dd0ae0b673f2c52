import type { Server, ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { serve } from "@hono/node-server";

export type Listener = {
  port: number;
  /**
   * Stops accepting, ends idle connections, waits for the requests in hand, but not for ever. With `lingerMs` it accepts
   * for so long still, and says in each answer that it is the connection's last.
   */
  close: (options?: { lingerMs?: number }) => Promise<void>;
};

type Options = {
  fetch: (request: Request) => Response | Promise<Response>;
  /** 0 takes any free port. */
  port: number;
  /** All interfaces when left out, as a pod needs it. */
  hostname?: string;
};

/** A client that sends a byte now and then would otherwise hold a connection, and its buffers, for ever. */
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 20_000;
const TIMEOUTS_CHECK_MS = 1_000;

/** Longer than the 60 s an Ingress keeps an idle connection: who ends it first must not be us, just as it is used again. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000;

/** A closing server checks no time-outs any more, and whoever is slow would hold up its end. */
const DRAIN_TIMEOUT_MS = 10_000;

export async function listen({ fetch, port, hostname }: Options): Promise<Listener> {
  return await new Promise((resolve, reject) => {
    const serverOptions = {
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: TIMEOUTS_CHECK_MS,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    };
    const server = serve(
      { fetch, port, serverOptions, ...(hostname === undefined ? {} : { hostname }) },
      (address) => resolve({ port: address.port, close }),
    ) as Server;
    const close = prepareClose(server);
    server.on("error", (error: NodeJS.ErrnoException) =>
      reject(
        error.code === "EADDRINUSE"
          ? new Error(
            `Cannot listen on port ${port}: it is in use. End what uses it, or choose another`,
          )
          : error,
      ));
  });
}

/**
 * Answers given while it closes say that they are the connection's last. A client that was not told would send its next
 * request into a connection that is about to end, and could not know what became of it.
 */
function prepareClose(server: Server): Listener["close"] {
  const inHand = new Set<ServerResponse>();
  let closing = false;
  const announceEnd = (response: ServerResponse) => {
    if (!response.headersSent) response.setHeader("connection", "close");
  };
  server.prependListener("request", (_, response) => {
    inHand.add(response);
    response.once("close", () => inHand.delete(response));
    if (closing) announceEnd(response);
  });
  return async ({ lingerMs = 0 } = {}) => {
    closing = true;
    inHand.forEach(announceEnd);
    if (lingerMs > 0) await sleep(lingerMs);
    const timer = setTimeout(() => server.closeAllConnections(), DRAIN_TIMEOUT_MS);
    await new Promise<void>((closed) => server.close(() => closed()));
    clearTimeout(timer);
  };
}
