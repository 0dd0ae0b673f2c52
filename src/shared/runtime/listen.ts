import { serve } from "@hono/node-server";

export type Listener = {
  port: number;
  /** Stops accepting, ends idle connections, waits for the requests in hand. */
  close: () => Promise<void>;
};

type Options = {
  fetch: (request: Request) => Response | Promise<Response>;
  /** 0 takes any free port. */
  port: number;
  /** All interfaces when left out, as a pod needs it. */
  hostname?: string;
};

export async function listen({ fetch, port, hostname }: Options): Promise<Listener> {
  return await new Promise((resolve, reject) => {
    const server = serve(
      { fetch, port, ...(hostname === undefined ? {} : { hostname }) },
      (address) =>
        resolve({
          port: address.port,
          close: () => new Promise((closed) => server.close(() => closed())),
        }),
    );
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
