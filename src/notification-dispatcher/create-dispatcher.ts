import { Hono } from "hono";
import { methodNotAllowed } from "hono/method-not-allowed";
import { requestId } from "hono/request-id";
import type postgres from "postgres";
import { listTimeZones } from "../shared/database/recipients.ts";
import { type Sender, upsertSenders } from "../shared/database/senders.ts";
import type { Clinic } from "../shared/domain/clinic.ts";
import { CHANNELS } from "../shared/domain/delivery.ts";
import type { Queue } from "../shared/messaging/queue.ts";
import type { Log } from "../shared/runtime/log.ts";
import type { Templates } from "../shared/templates/templates.ts";
import { createAcceptor } from "./accept-notifications.ts";
import { createAdmission } from "./admission.ts";
import { createAppointmentRoutes } from "./appointment-routes.ts";
import { type Client, type ClientEnv, findClient } from "./clients.ts";
import { createDocumentRoutes } from "./document-routes.ts";
import { createInstruments, traceRequests } from "./instruments.ts";
import { createNotificationRoutes } from "./notification-routes.ts";
import { createErrorHandler, sendProblem } from "./problem.ts";
import { createHintPublisher } from "./publish-hints.ts";
import { createQueueRoom } from "./queue-room.ts";
import { startRelay } from "./relay.ts";
import { createTemplateRoutes } from "./template-routes.ts";
import { createTwilioWebhook } from "./twilio-webhook.ts";

export type DispatcherOptions = {
  sql: postgres.Sql;
  queue: Queue;
  clinics: ReadonlyMap<string, Clinic>;
  templates: Templates;
  clients: readonly Client[];
  /** Where the Ingress answers. */
  publicUrl: string;
  twilioAuthToken: string;
  log: Log;
};

export type Dispatcher = {
  routes: Hono;
  /** Rejects, with the reason, while nothing can be accepted. The queue does not count: the relay waits for it. */
  ready: () => Promise<void>;
  /** Ends the relay and waits for the hints under way. The server must have stopped accepting. */
  stop: () => Promise<void>;
};

const BATCH_PATH = "/v1/notifications/batch";
const REQUESTS = { total: 512, perClient: 384 };
/** Their bodies are sixteen times as large. */
const BATCHES = { total: 32, perClient: 24 };

export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const { sql, queue, clinics, log } = options;
  const instruments = createInstruments();
  const room = createQueueRoom();
  const relay = startRelay({ sql, queue, instruments, log, room });
  const wakeRelay = relay.wake;
  const hints = createHintPublisher({ sql, queue, instruments, log, room, wakeRelay });
  const timeZones = keepUntilFailure(async () => {
    await upsertSenders(sql, listSenders(clinics));
    const known = new Set((await listTimeZones(sql)).filter(isTimeZone));
    for (const { id, timeZone } of clinics.values()) {
      if (known.has(timeZone)) continue;
      throw new Error(`Cannot work for the clinic "${id}": the database has no zone "${timeZone}"`);
    }
    return known;
  });
  const dependencies = { ...options, timeZones, hints, instruments, now: () => new Date() };

  return {
    routes: createRoutes(dependencies),
    ready: async () => {
      await timeZones();
      const [row] = await sql<[{ standby: boolean }]>`select pg_is_in_recovery() as standby`;
      if (row.standby) throw new Error("the database is a standby");
    },
    stop: async () => {
      await relay.stop();
      await hints.idle();
    },
  };
}

function createRoutes(
  dependencies: Parameters<typeof createAcceptor>[0] & DispatcherOptions,
): Hono {
  const { clients, publicUrl, twilioAuthToken, sql, log } = dependencies;
  const app = new Hono<ClientEnv>();
  app.onError(createErrorHandler(log));
  app.use(
    methodNotAllowed({
      app,
      onMethodNotAllowed: (c, methods) => {
        c.header("allow", methods.join(", "));
        return sendProblem(c, { code: "method_not_allowed" });
      },
    }),
  );
  app.use(requestId());
  app.use(async (c, next) => {
    c.header("x-content-type-options", "nosniff");
    c.header("referrer-policy", "no-referrer");
    c.header("cache-control", "no-store");
    c.header("content-security-policy", "default-src 'none'; frame-ancestors 'none'");
    c.header("strict-transport-security", "max-age=31536000");
    await next();
  });
  app.use("/v1/*", traceRequests());
  app.use("/v1/*", async (c, next) => {
    const client = findClient(clients, c.req.header("authorization"));
    if (client === null) {
      c.header("www-authenticate", 'Bearer realm="carillon"');
      return sendProblem(c, { code: "unauthorized" });
    }
    c.set("client", client);
    return await next();
  });
  const admitRequest = createAdmission(REQUESTS);
  const admitBatch = createAdmission(BATCHES);
  app.use("/v1/*", (c, next) => (c.req.path === BATCH_PATH ? admitBatch : admitRequest)(c, next));

  app.route("/", createNotificationRoutes({ sql, acceptor: createAcceptor(dependencies) }));
  app.route("/", createAppointmentRoutes({ sql }));
  app.route("/", createTemplateRoutes(dependencies));
  app.route("/", createTwilioWebhook({ sql, publicUrl, authToken: twilioAuthToken, log }));
  app.route("/", createDocumentRoutes({ publicUrl }));
  app.all("*", (c) => sendProblem(c, { code: "not_found" }));
  return app as unknown as Hono;
}

function listSenders(clinics: ReadonlyMap<string, Clinic>): Sender[] {
  const tests = CHANNELS.map((channel) => ({ id: `test:${channel}`, ratePerSecond: null }));
  const real = [...clinics.values()].flatMap(({ id, senders }) =>
    CHANNELS.flatMap((channel) => {
      const sender = senders[channel];
      if (sender === undefined) return [];
      return [{ id: `${id}:${channel}`, ratePerSecond: sender.ratePerSecond ?? null }];
    })
  );
  return [...tests, ...real];
}

/** Does the work at the first call, keeps its result for the others, and does it again after a failure. */
function keepUntilFailure<Result>(work: () => Promise<Result>): () => Promise<Result> {
  let kept: Promise<Result> | undefined;
  return () =>
    kept ??= work().catch((error) => {
      kept = undefined;
      throw error;
    });
}

function isTimeZone(name: string): boolean {
  try {
    return new Temporal.ZonedDateTime(0n, name).timeZoneId !== "";
  } catch {
    return false; // The database knows more: "posix/Europe/Madrid"
  }
}
