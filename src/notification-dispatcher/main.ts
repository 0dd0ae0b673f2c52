import { z } from "zod";
import { connectDatabase } from "../shared/database/connect.ts";
import { connectRabbitMq } from "../shared/messaging/rabbitmq-queue.ts";
import { loadClinics } from "../shared/runtime/clinics.ts";
import * as pieces from "../shared/runtime/config.ts";
import { runService } from "../shared/runtime/service.ts";
import { loadTemplates } from "../shared/templates/templates.ts";
import { loadClients } from "./clients.ts";
import { createDispatcher } from "./create-dispatcher.ts";

const name = "notification-dispatcher";
const config = z.object({
  ...pieces.httpConfig.shape,
  ...pieces.databaseConfig.shape,
  ...pieces.brokerConfig.shape,
  ...pieces.publicConfig.shape,
  ...pieces.clinicsConfig.shape,
  CLIENTS_FILE: z.string(),
  TWILIO_AUTH_TOKEN: z.string(),
});

export default runService({ name, config }, async (settings, { log, stack }) => {
  const clinics = await loadClinics(settings.CONFIG_DIR);
  const templates = await loadTemplates(settings.CONFIG_DIR);
  const clients = await loadClients(settings.CLIENTS_FILE, clinics);
  const sql = connectDatabase(settings.DATABASE_URL, { name });
  stack.defer(() => sql.end());
  const queue = await connectRabbitMq(settings.AMQP_URL, { name, log });
  stack.defer(() => queue.close());

  const { PUBLIC_URL: publicUrl, TWILIO_AUTH_TOKEN: twilioAuthToken } = settings;
  const options = { sql, queue, clinics, templates, clients, publicUrl, twilioAuthToken, log };
  const { routes, ready, stop } = createDispatcher(options);
  stack.defer(stop);
  return { routes, ready };
});
