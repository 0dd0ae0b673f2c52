import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import type postgres from "postgres";
import { type Sandbox, startSandbox } from "../../src/sandbox/start-sandbox.ts";
import { deliveryOf } from "./checker.ts";
import { createTestDatabase, type TestDatabase } from "./database.ts";
import { startLoadBalancer } from "./load-balancer.ts";
import { runJob, type RunningService, type Runtime, startService } from "./processes.ts";
import { brokerUrl } from "./queue.ts";

export const REPLICATED = [
  "notification-dispatcher",
  "appointment-service",
  "email-worker",
  "sms-worker",
] as const;
export type Replicated = (typeof REPLICATED)[number];

export const CLINIC_KEY = "end-to-end-clinic-key";
/** The same clinic's, for the whole way but its last step: a pretended provider has what it sends. */
export const TEST_KEY = "end-to-end-test-key";
/** Speaks for every clinic. */
export const SERVICE_KEY = "end-to-end-service-key";
export const OPERATOR_TOKEN = "end-to-end-operator-token";
export const TWILIO = { accountSid: `AC${"1".repeat(32)}`, authToken: "end-to-end-twilio-token" };

export type Deployment = {
  sql: postgres.Sql;
  databaseUrl: string;
  sandbox: Sandbox;
  /** The Dispatcher as the Ingress shows it. */
  dispatcherUrl: string;
  appointmentServiceUrl: string;
  /** The delivery of each message that has arrived at the sandbox, however many. */
  arrived: () => readonly string[];
  runEtl: () => Promise<{ code: number | null; output: string }>;
  runScheduler: () => Promise<{ code: number | null; output: string }>;
  /** Starts one more replica; `environment` replaces what it alone is told. */
  start: (name: Replicated, environment?: Record<string, string>) => Promise<RunningService>;
  /** The replicas of a service, oldest first. */
  replicas: (name: Replicated) => readonly RunningService[];
  /** Stops the oldest replica with SIGTERM, starts another in its place, and returns the exit code. */
  replace: (name: Replicated) => Promise<number | null>;
  /** Takes the oldest replica out of the load balancer, as Kubernetes does before it sends SIGTERM. */
  withdraw: (name: Replicated) => RunningService;
  /** Ends a replica at once, as a lost node would. */
  kill: (name: Replicated, replica: RunningService) => Promise<void>;
  /** What all the replicas, also those that have ended, have written. */
  output: () => string;
};

export type DeployOptions = {
  runtime?: Runtime;
  /** Those of the replicated services that the test needs. */
  services?: readonly Replicated[];
  replicasOfEach?: number;
  /** Where the ledger is, unless it is a database of its own on the tests' server. */
  database?: TestDatabase;
  /** Replaces what the services are told, such as a DATABASE_URL that leads through a proxy. */
  environment?: Record<string, string>;
};

/** Starts Carillon as a cluster runs it: separate processes, several of each replicated service, real PostgreSQL and RabbitMQ. */
export async function deploy(
  {
    runtime = "node",
    services = REPLICATED,
    replicasOfEach = 3,
    database,
    environment: replaced = {},
  }: DeployOptions = {},
): Promise<Deployment> {
  const { sql, url: databaseUrl } = database ?? await createTestDatabase();
  const arrived: string[] = [];
  const sandbox = await startSandbox({
    port: 0,
    smtpPort: 0,
    now: () => new Date(),
    twilio: TWILIO,
    seed: "end-to-end",
    onMessage: (message) => void arrived.push(deliveryOf(message)),
  });
  after(() => sandbox.stop());

  const running = new Map<Replicated, RunningService[]>(REPLICATED.map((name) => [name, []]));
  const replicas = (name: Replicated) => running.get(name) ?? [];
  const everStarted: RunningService[] = [];
  const balance = (name: Replicated) =>
    startLoadBalancer(() => replicas(name).map(({ url }) => url));
  const { url: dispatcherUrl } = await balance("notification-dispatcher");
  const { url: appointmentServiceUrl } = await balance("appointment-service");

  const environment = {
    DATABASE_URL: databaseUrl,
    AMQP_URL: brokerUrl() ?? undefined,
    CLIENTS_FILE: await writeClients(),
    PUBLIC_URL: dispatcherUrl,
    SMTP_URL: sandbox.smtpUrl,
    TWILIO_ACCOUNT_SID: TWILIO.accountSid,
    TWILIO_AUTH_TOKEN: TWILIO.authToken,
    TWILIO_API_URL: sandbox.twilioUrl,
    FHIR_BASE_URL: sandbox.fhirUrl,
    DISPATCHER_URL: dispatcherUrl,
    DISPATCHER_API_KEY: SERVICE_KEY,
    APPOINTMENT_SERVICE_URL: appointmentServiceUrl,
    APPOINTMENT_SERVICE_TOKEN: OPERATOR_TOKEN,
    ...replaced,
  };

  async function start(
    name: Replicated,
    own: Record<string, string> = {},
  ): Promise<RunningService> {
    const service = await startService(name, { runtime, environment: { ...environment, ...own } });
    running.get(name)?.push(service);
    everStarted.push(service);
    return service;
  }

  function withdraw(name: Replicated): RunningService {
    const oldest = running.get(name)?.shift();
    if (oldest === undefined) throw new Error(`Cannot withdraw a replica: no ${name} runs`);
    return oldest;
  }

  for (const name of services) {
    await Promise.all(Array.from({ length: replicasOfEach }, () => start(name)));
  }
  return {
    sql,
    databaseUrl,
    sandbox,
    dispatcherUrl,
    appointmentServiceUrl,
    arrived: () => arrived,
    runEtl: () => runJob("etl", { runtime, environment }),
    runScheduler: () => runJob("scheduler", { runtime, environment }),
    start,
    replicas,
    replace: async (name) => {
      const oldest = withdraw(name);
      oldest.signal("SIGTERM");
      const [code] = await Promise.all([oldest.exited, start(name)]);
      return code;
    },
    withdraw,
    kill: async (name, replica) => {
      running.set(name, replicas(name).filter((other) => other !== replica));
      replica.signal("SIGKILL");
      await replica.exited;
    },
    output: () => everStarted.map((service) => service.output()).join(""),
  };
}

async function writeClients(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "carillon-clients-"));
  after(() => rm(folder, { recursive: true }));
  const sha256 = (key: string) => createHash("sha256").update(key).digest("hex");
  const file = join(folder, "clients.yaml");
  // JSON is YAML
  await writeFile(
    file,
    JSON.stringify({
      clients: [
        { id: "oak", clinic: "oak", type: "live", keySha256: [sha256(CLINIC_KEY)] },
        { id: "oak-test", clinic: "oak", type: "test", keySha256: [sha256(TEST_KEY)] },
        { id: "reminders", clinic: "*", type: "live", keySha256: [sha256(SERVICE_KEY)] },
      ],
    }),
  );
  return file;
}
