import { Hono } from "hono";
import { createDispatcherClient } from "../../src/appointment-service/dispatcher-client.ts";
import { createReminderMetrics } from "../../src/appointment-service/reminder-metrics.ts";
import { runReminders } from "../../src/appointment-service/run-reminders.ts";
import { createAcceptor } from "../../src/notification-dispatcher/accept-notifications.ts";
import { createAppointmentRoutes } from "../../src/notification-dispatcher/appointment-routes.ts";
import type { Client, ClientEnv } from "../../src/notification-dispatcher/clients.ts";
import { createInstruments } from "../../src/notification-dispatcher/instruments.ts";
import { createNotificationRoutes } from "../../src/notification-dispatcher/notification-routes.ts";
import { createErrorHandler } from "../../src/notification-dispatcher/problem.ts";
import { createHintPublisher } from "../../src/notification-dispatcher/publish-hints.ts";
import { createQueueRoom } from "../../src/notification-dispatcher/queue-room.ts";
import { relayOnce } from "../../src/notification-dispatcher/relay.ts";
import { createTwilioWebhook } from "../../src/notification-dispatcher/twilio-webhook.ts";
import type { Clinic } from "../../src/shared/domain/clinic.ts";
import type { Channel, Mode } from "../../src/shared/domain/delivery.ts";
import { startWorker } from "../../src/shared/delivery/start-worker.ts";
import type { Host, Network, Reply } from "./network.ts";
import { PUBLIC_URL, TWILIO_TOKEN } from "./receipts.ts";
import type { SimulatedBroker } from "./simulated-broker.ts";
import type { SimulatedDatabase } from "./simulated-database.ts";
import {
  createProcess,
  injectedError,
  isInjected,
  type SimulatedProcess,
} from "./simulated-process.ts";
import type { SimulatedProviders } from "./simulated-providers.ts";
import type { Simulation } from "./simulation.ts";
import { simulatedTemplates, TIME_ZONES } from "./world.ts";

/** The services as processes that die and come again. */
export type Cluster = {
  hosts: () => readonly Host[];
  /** One pass of the relay in one of the dispatchers. */
  relay: () => void;
  /** One run of the appointment service, as the scheduler triggers it. */
  remind: () => void;
  /** The process that imports, if it is there. */
  importer: () => SimulatedProcess | null;
};

export type Surroundings = {
  simulation: Simulation;
  clinics: ReadonlyMap<string, Clinic>;
  database: SimulatedDatabase;
  broker: SimulatedBroker;
  providers: SimulatedProviders;
  network: Network;
  createId: () => string;
  /** A process has died, or stood still, or a statement of it has failed: what it was doing may be unrecorded. */
  onTrouble: (process: SimulatedProcess) => void;
};

/** What is running in a role, or null between a death and the next start. */
type Member<Running> = { name: string; process: SimulatedProcess | null; running: Running | null };
type Dispatcher = Host & { relay: () => Promise<void> };

const RESTART_MS = [1_000, 10_000, 150_000] as const;
const PREFETCH = 5;
const RUN_BUDGET_MS = 45_000;

export function startCluster(surroundings: Surroundings): Cluster {
  const { simulation, network: wire } = surroundings;
  const { random, fail } = simulation;
  const instruments = createInstruments();
  const metrics = createReminderMetrics();

  const start = <Running>(name: string, run: (process: SimulatedProcess) => Running) =>
    keepRunning(surroundings, name, run);
  const dispatchers = ["dispatcher-1", "dispatcher-2"].map((name) =>
    start(name, (process) => startDispatcher(process, { ...surroundings, instruments }))
  );
  const hosts = () => running(dispatchers);
  for (const channel of ["email", "sms"] as const) {
    for (const number of [1, 2]) {
      start(
        `${channel}-worker-${number}`,
        (process) => startSimulatedWorker(process, channel, surroundings),
      );
    }
  }
  const appointmentServices = ["appointments-1", "appointments-2"].map((name) =>
    start(name, (process) => ({
      process,
      remind: () => startReminderRun(process, { ...surroundings, metrics, wire }),
    }))
  );
  const importers = [start("etl", (process) => ({ process }))];

  function begin(process: SimulatedProcess, work: () => Promise<unknown>): void {
    process.reach(() =>
      void work().catch((error) => {
        if (!isInjected(error)) fail(`${process.name} failed: ${error}`);
      })
    );
  }

  return {
    hosts,
    relay: () => {
      const [one, other] = pickTwo(simulation, hosts());
      if (one !== undefined) begin(one.process, one.relay);
      // Any number of relays may run
      if (other !== undefined && random.chance(0.2)) begin(other.process, other.relay);
    },
    remind: () => {
      const [one, other] = pickTwo(simulation, running(appointmentServices));
      if (one !== undefined) begin(one.process, one.remind);
      if (other !== undefined && random.chance(0.2)) begin(other.process, other.remind);
    },
    importer: () => running(importers)[0]?.process ?? null,
  };
}

function running<Running>(members: readonly Member<Running>[]): Running[] {
  return members.flatMap(({ running, process }) =>
    running === null || process?.isAlive() !== true ? [] : [running]
  );
}

function pickTwo<T>({ random }: Simulation, items: readonly T[]): [T?, T?] {
  if (items.length === 0) return [];
  const index = random.integer(0, items.length - 1);
  return [items[index], items[(index + 1) % items.length]].slice(0, items.length) as [T?, T?];
}

/** Starts it, and another in its place a while after each death. */
function keepRunning<Running>(
  { simulation, broker, onTrouble }: Surroundings,
  name: string,
  run: (process: SimulatedProcess) => Running,
): Member<Running> {
  const member: Member<Running> = { name, process: null, running: null };
  let starts = 0;
  function start(): void {
    starts += 1;
    const process = createProcess(simulation, {
      name: `${name}.${starts}`,
      onTrouble,
      onDeath: (dead) => {
        broker.forget(dead);
        simulation.timeline.after(simulation.random.pick(RESTART_MS), start);
      },
    });
    member.process = process;
    member.running = run(process);
  }
  start();
  return member;
}

const CLIENTS: readonly Client[] = (["live", "test"] as const).map((type: Mode) => ({
  id: type,
  clinic: "*",
  type,
  keyHashes: [],
  allow: new Set(),
}));

function startDispatcher(
  process: SimulatedProcess,
  { database, broker, clinics, createId, simulation, instruments }:
    & Surroundings
    & { instruments: ReturnType<typeof createInstruments> },
): Dispatcher {
  const { log } = process;
  const sql = database.connect(process);
  const queue = broker.connect(process);
  const room = createQueueRoom();
  const hints = createHintPublisher({ sql, queue, instruments, log, room });
  const acceptor = createAcceptor({
    sql,
    clinics,
    templates: simulatedTemplates,
    timeZones: async () => TIME_ZONES,
    hints,
    instruments,
    now: process.wallClock,
    clock: process.clock,
    createId,
  });
  const app = new Hono<ClientEnv>();
  app.onError(createErrorHandler(log));
  app.use("/v1/*", async (c, next) => {
    const client = CLIENTS.find(({ id }) => c.req.header("authorization") === `Bearer ${id}`);
    c.set("client", client as Client);
    return await next();
  });
  app.route("/", createNotificationRoutes({ sql, acceptor }));
  app.route("/", createAppointmentRoutes({ sql }));
  app.route(
    "/",
    createTwilioWebhook({
      sql,
      publicUrl: PUBLIC_URL,
      authToken: TWILIO_TOKEN,
      log,
      now: process.wallClock,
      random: simulation.random.next,
    }),
  );
  let ticking = false;
  return {
    process,
    routes: app as unknown as Hono,
    relay: async () => {
      if (ticking) return;
      ticking = true;
      try {
        await relayOnce({ sql, queue, instruments, log, room });
      } finally {
        ticking = false;
      }
    },
  };
}

function startSimulatedWorker(
  process: SimulatedProcess,
  channel: Channel,
  { database, broker, providers, clinics, simulation }: Surroundings,
): { process: SimulatedProcess } {
  const sql = database.connect(process);
  void startWorker(channel, {
    sql,
    queue: broker.connect(process),
    clinics,
    templates: simulatedTemplates,
    log: process.log,
    prefetch: PREFETCH,
    provider: providers.connect(process, channel, sql),
    clock: process.clock,
    random: simulation.random.next,
  });
  return { process };
}

async function startReminderRun(
  process: SimulatedProcess,
  { database, clinics, createId, metrics, wire }:
    & Surroundings
    & { metrics: ReturnType<typeof createReminderMetrics>; wire: Network },
): Promise<void> {
  const submit = createDispatcherClient({
    url: "http://dispatcher",
    apiKey: "live",
    fetch: async (url, init = {}) => {
      const path = new URL(String(url)).pathname;
      process.mayDie();
      const reply = await new Promise<Reply | null>((resolve) =>
        void wire.request(path, init).then((reply) => process.reach(() => resolve(reply)))
      );
      if (reply === null) throw injectedError();
      return new Response(reply.text, { status: reply.status });
    },
  });
  await runReminders({
    sql: database.connect(process),
    clinics,
    submit,
    metrics,
    log: process.log,
    clock: process.clock.now,
    signal: new AbortController().signal,
    createId,
  }, RUN_BUDGET_MS);
}
