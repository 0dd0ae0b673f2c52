import process from "node:process";
import type { Hono } from "hono";
import type { z } from "zod";
import { parseConfig, processConfig } from "./config.ts";
import { createHealthRoutes } from "./health.ts";
import { listen } from "./listen.ts";
import { createLog, describeError, type Log } from "./log.ts";
import { startTelemetry, type Telemetry } from "./telemetry.ts";

/** After a signal a process has this long to drain; the pod's grace period must be longer. */
export const DRAIN_TIMEOUT_MS = 40_000;

/**
 * A load balancer learns a little after a pod that it is to end, and until then goes on sending requests. This is for
 * one that learns late; a preStop sleep, longer than this, is for the rest.
 */
const LINGER_MS = 1_000;

const STOP_SIGNALS = ["SIGINT", "SIGTERM"] as const;

export type Context = {
  log: Log;
  /** Aborts when the process is asked to stop. */
  signal: AbortSignal;
  /** Closes what was opened, last opened first, after the server has stopped accepting. */
  stack: AsyncDisposableStack;
  telemetry: Telemetry;
};

export type Service = {
  /** The service's own routes. Health and metrics are added. */
  routes?: Hono;
  /** Rejects, with the reason, while the service cannot do its work. */
  ready: () => Promise<void>;
};

type Options<Schema extends z.ZodObject> = { name: string; config: Schema };

/**
 * Runs an HTTP service until the process is asked to stop, then drains it.
 *
 * The result is the module's default export, so that `deno serve` can run the same main.ts: there the runtime listens,
 * and says so by calling `onListen` before the first timer. Elsewhere this listens on PORT.
 */
export function runService<Schema extends z.ZodObject>(
  { name, config }: Options<Schema>,
  start: (config: z.infer<Schema> & { PORT: number }, context: Context) => Promise<Service>,
): { fetch: (request: Request) => Response | Promise<Response>; onListen: () => void } {
  let app: Hono | undefined;
  let runtimeListens = false;

  void runProcess(name, async (context, environment) => {
    const settings = parseConfig(config, environment) as z.infer<Schema> & { PORT: number };
    const service = await start(settings, context);
    const ready = async () => {
      if (context.signal.aborted) throw new Error("stopping");
      await service.ready();
    };
    const routes = service.routes;
    app = createHealthRoutes({ ready, metrics: context.telemetry.metrics, log: context.log });
    // Not `route()`, which would drop the service's own answer to an unknown path
    if (routes !== undefined) app.notFound((c) => routes.fetch(c.req.raw, c.env));

    await new Promise((resolve) => setTimeout(resolve, 0)); // `deno serve` has called onListen by now
    const server = runtimeListens ? null : await listen({ fetch: app.fetch, port: settings.PORT });
    context.log.info("listening", { port: server?.port });
    await aborted(context.signal);
    // Nobody but the kubelet asks a worker
    await server?.close({ lingerMs: routes === undefined ? 0 : LINGER_MS });
  });

  return {
    fetch: (request) => app?.fetch(request) ?? new Response("starting", { status: 503 }),
    onListen: () => {
      runtimeListens = true;
    },
  };
}

/** Runs a job to its end. It exits non-zero when the job throws. */
export function runJob<Schema extends z.ZodObject>(
  { name, config }: Options<Schema>,
  job: (config: z.infer<Schema>, context: Context) => Promise<void>,
): void {
  void runProcess(name, (context, environment) => job(parseConfig(config, environment), context));
}

/** Runs `body` as a process: the only place that sees signals and sets the exit code. */
export async function runProcess(
  name: string,
  body: (context: Context, environment: NodeJS.ProcessEnv) => Promise<void>,
): Promise<void> {
  const controller = new AbortController();
  const stop = () => {
    setTimeout(() => {
      process.stderr.write(`${name} did not stop within ${DRAIN_TIMEOUT_MS} ms\n`);
      process.exit(1);
    }, DRAIN_TIMEOUT_MS).unref();
    controller.abort();
  };
  for (const signal of STOP_SIGNALS) process.once(signal, stop);

  try {
    const { LOG_LEVEL } = parseConfig(processConfig, process.env);
    const log = createLog(name, { level: LOG_LEVEL });
    await using stack = new AsyncDisposableStack();
    const telemetry = await startTelemetry(name, process.env);
    stack.defer(() => telemetry.stop());
    await body({ log, signal: controller.signal, stack, telemetry }, process.env);
    log.info("stopping");
  } catch (error) {
    process.exitCode = 1;
    // Our own messages say what to do; others may quote personal data
    const ours = error instanceof Error && error.message.startsWith("Cannot ");
    process.stderr.write(
      `${name}: ${ours ? error.message : JSON.stringify(describeError(error))}\n`,
    );
  } finally {
    for (const signal of STOP_SIGNALS) process.off(signal, stop);
  }
}

/** Resolves when `signal` aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
