import { Hono } from "hono";
import type { Log } from "./log.ts";

const READY_TIMEOUT_MS = 2_000;

/** `/healthz`: the process turns. `/readyz`: it can do its work now. `/metrics`: Prometheus text. */
export function createHealthRoutes(
  { ready, metrics, log }: {
    ready: () => Promise<void>;
    metrics: () => Promise<string>;
    log: Log;
  },
): Hono {
  const app = new Hono();
  app.get("/healthz", (c) => c.json({ status: "ok" }));
  app.get("/readyz", async (c) => {
    try {
      await withTimeout(ready(), READY_TIMEOUT_MS);
      return c.json({ status: "ready" });
    } catch (error) {
      const reason = error instanceof Error ? error.message : "unknown";
      log.warn("not ready", { reason });
      return c.json({ status: "not ready", reason }, 503);
    }
  });
  app.get(
    "/metrics",
    async (c) => c.text(await metrics(), 200, { "content-type": "text/plain; version=0.0.4" }),
  );
  return app;
}

async function withTimeout(work: Promise<void>, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
