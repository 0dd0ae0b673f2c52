import { join } from "node:path";
import type postgres from "postgres";
import { createAppointmentService } from "../appointment-service/appointment-service.ts";
import { connectSmtp } from "../email-worker/smtp.ts";
import { startEmailWorker } from "../email-worker/start-email-worker.ts";
import { configureFhir, fhirConfig } from "../etl/configure-fhir.ts";
import { type ImportCounts, importFromFhir } from "../etl/import-from-fhir.ts";
import { loadClients, parseClients } from "../notification-dispatcher/clients.ts";
import { createDispatcher } from "../notification-dispatcher/create-dispatcher.ts";
import { type ReminderCounts, triggerReminderRun } from "../scheduler/trigger-reminder-run.ts";
import { connectDatabase } from "../shared/database/connect.ts";
import { migrate } from "../shared/database/migrate.ts";
import { createMemoryQueue } from "../shared/messaging/memory-queue.ts";
import type { Queue } from "../shared/messaging/queue.ts";
import { connectRabbitMq } from "../shared/messaging/rabbitmq-queue.ts";
import { loadClinics } from "../shared/runtime/clinics.ts";
import { type Environment, parseConfig } from "../shared/runtime/config.ts";
import { createHealthRoutes } from "../shared/runtime/health.ts";
import { listen } from "../shared/runtime/listen.ts";
import type { Context } from "../shared/runtime/service.ts";
import { startSmsWorker } from "../sms-worker/start-sms-worker.ts";
import { loadTemplates } from "../shared/templates/templates.ts";
import { startEmbeddedDatabase } from "./embedded-database.ts";
import { LOCAL_CLIENTS } from "./local-clients.ts";
import { openOutsideWorld } from "./outside-world.ts";
import type { Settings } from "./settings.ts";
import type { Sandbox } from "../sandbox/start-sandbox.ts";

const HOST = "127.0.0.1"; // The local keys are no secret
const CONNECTIONS_MAX = 20;
const PREFETCH = 50;

export type Local = {
  sql: postgres.Sql;
  sandbox: Sandbox | null;
  dispatcherUrl: string;
  appointmentServiceUrl: string;
  /** One pass of etl. */
  importAppointments: () => Promise<ImportCounts>;
  /** One trigger of the scheduler. */
  runReminders: () => Promise<ReminderCounts>;
};

/** Starts all six services in this process. What the settings do not name runs in this process too. */
export async function startServices(
  settings: Settings,
  environment: Environment,
  context: Context,
): Promise<Local> {
  const { log, signal, stack } = context;
  const clinics = await loadClinics(settings.CONFIG_DIR);
  const templates = await loadTemplates(settings.CONFIG_DIR);
  const clients = settings.CLIENTS_FILE === undefined
    ? parseClients(LOCAL_CLIENTS, { file: "local-clients.ts", clinics })
    : await loadClients(settings.CLIENTS_FILE, clinics);

  // First, for its ports tell whether Carillon is running already
  const world = await openOutsideWorld(settings);
  stack.defer(() => world.sandbox?.stop());
  const sql = await openDatabase(settings, stack);
  await migrate(sql);
  const queue = await openQueue(settings, context);
  stack.defer(() => queue.close());

  const serve = async (port: number, fetch: (request: Request) => Response | Promise<Response>) => {
    const listener = await listen({ fetch, port, hostname: HOST });
    stack.defer(() => listener.close());
    return `http://localhost:${listener.port}`;
  };
  const health = (ready: () => Promise<void>) =>
    createHealthRoutes({ ready, metrics: context.telemetry.metrics, log });

  // The Dispatcher's own address is only known once it listens, and it signs receipts with it
  const dispatcherRoutes = health(async () => await dispatcher.ready());
  const dispatcherUrl = await serve(settings.PORT, dispatcherRoutes.fetch);
  const publicUrl = settings.PUBLIC_URL ?? dispatcherUrl;
  const dispatcher = createDispatcher({
    sql,
    queue,
    clinics,
    templates,
    clients,
    publicUrl,
    twilioAuthToken: settings.TWILIO_AUTH_TOKEN,
    log,
  });
  stack.defer(dispatcher.stop);
  dispatcherRoutes.notFound((c) => dispatcher.routes.fetch(c.req.raw, c.env));
  await dispatcher.ready();

  const token = settings.APPOINTMENT_SERVICE_TOKEN;
  const appointmentService = createAppointmentService({
    sql,
    clinics,
    dispatcher: { url: dispatcherUrl, apiKey: settings.DISPATCHER_API_KEY, fetch },
    token,
    log,
    signal,
  });
  const appointmentRoutes = health(async () => void await sql`select 1`);
  appointmentRoutes.notFound((c) => appointmentService.routes.fetch(c.req.raw, c.env));
  const appointmentServiceUrl = await serve(
    settings.APPOINTMENT_SERVICE_PORT,
    appointmentRoutes.fetch,
  );

  const parts = { sql, queue, clinics, templates, log, prefetch: PREFETCH };
  const transport = connectSmtp(world.smtpUrl);
  stack.defer(() => transport.close());
  const emailWorker = await startEmailWorker({ ...parts, transport });
  stack.defer(() => emailWorker.stop());
  const smsWorker = await startSmsWorker({
    ...parts,
    twilio: {
      accountSid: settings.TWILIO_ACCOUNT_SID,
      authToken: settings.TWILIO_AUTH_TOKEN,
      apiUrl: world.twilioUrl ?? undefined,
      statusCallbackUrl: `${publicUrl}/webhooks/twilio/status`,
    },
  });
  stack.defer(() => smsWorker.stop());

  const fhirSettings = parseConfig(fhirConfig, { ...environment, FHIR_BASE_URL: world.fhirUrl });
  const fhir = await configureFhir(fhirSettings, { fetch, signal });
  return {
    sql,
    sandbox: world.sandbox,
    dispatcherUrl,
    appointmentServiceUrl,
    importAppointments: () =>
      importFromFhir({ sql, fetch, fhir, clinics, log, progress: () => {}, signal }),
    runReminders: () =>
      triggerReminderRun({ url: appointmentServiceUrl, token, fetch, log, signal }),
  };
}

async function openDatabase(
  { DATABASE_URL, STATE_DIR }: Settings,
  stack: AsyncDisposableStack,
): Promise<postgres.Sql> {
  const options = { name: "local", maxConnections: CONNECTIONS_MAX };
  let url = DATABASE_URL;
  if (url === undefined) {
    const embedded = await startEmbeddedDatabase(join(STATE_DIR, "postgres"));
    stack.defer(embedded.stop);
    options.maxConnections = embedded.maxConnections;
    url = embedded.url;
  }
  const sql = connectDatabase(url, options);
  stack.defer(() => sql.end({ timeout: 5 }));
  return sql;
}

async function openQueue({ AMQP_URL }: Settings, { log }: Context): Promise<Queue> {
  return AMQP_URL === undefined
    ? createMemoryQueue()
    : await connectRabbitMq(AMQP_URL, { name: "local", log });
}
