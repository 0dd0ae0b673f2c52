import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import type postgres from "postgres";
import { type Sandbox, startSandbox } from "../../src/sandbox/start-sandbox.ts";
import { createTestDatabase } from "./database.ts";
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
const SERVICE_KEY = "end-to-end-service-key";
const OPERATOR_TOKEN = "end-to-end-operator-token";
const TWILIO = { accountSid: `AC${"1".repeat(32)}`, authToken: "end-to-end-twilio-token" };

export type Deployment = {
  sql: postgres.Sql;
  sandbox: Sandbox;
  /** The Dispatcher as the Ingress shows it. */
  dispatcherUrl: string;
  runEtl: () => Promise<{ code: number | null; output: string }>;
  runScheduler: () => Promise<{ code: number | null; output: string }>;
  /** Stops one replica with SIGTERM, starts another in its place, and returns the exit code. */
  replace: (name: Replicated) => Promise<number | null>;
  /** The address of each replica. */
  urls: () => string[];
  /** What all the replicas, also those that have ended, have written. */
  output: () => string;
};

/** Starts Carillon as a cluster runs it: separate processes, three of each replicated service, real PostgreSQL and RabbitMQ. */
export async function deploy(
  runtime: Runtime,
  { replicasOfEach = 3 }: { replicasOfEach?: number } = {},
): Promise<Deployment> {
  const { sql, url: databaseUrl } = await createTestDatabase();
  const sandbox = await startSandbox({
    port: 0,
    smtpPort: 0,
    now: () => new Date(),
    twilio: TWILIO,
    seed: "end-to-end",
  });
  after(() => sandbox.stop());

  const replicas = new Map<Replicated, RunningService[]>(REPLICATED.map((name) => [name, []]));
  const everStarted: RunningService[] = [];
  const balance = (name: Replicated) =>
    startLoadBalancer(() => (replicas.get(name) ?? []).map(({ url }) => url));
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
  };

  async function start(name: Replicated): Promise<RunningService> {
    const service = await startService(name, { runtime, environment });
    replicas.get(name)?.push(service);
    everStarted.push(service);
    return service;
  }

  for (const name of REPLICATED) {
    await Promise.all(Array.from({ length: replicasOfEach }, () => start(name)));
  }
  return {
    sql,
    sandbox,
    dispatcherUrl,
    runEtl: () => runJob("etl", { runtime, environment }),
    runScheduler: () => runJob("scheduler", { runtime, environment }),
    replace: async (name) => {
      const oldest = replicas.get(name)?.shift();
      oldest?.signal("SIGTERM");
      const [code] = await Promise.all([oldest?.exited ?? null, start(name)]);
      return code;
    },
    urls: () => [...replicas.values()].flatMap((services) => services.map(({ url }) => url)),
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
        { id: "reminders", clinic: "*", type: "live", keySha256: [sha256(SERVICE_KEY)] },
      ],
    }),
  );
  return file;
}
