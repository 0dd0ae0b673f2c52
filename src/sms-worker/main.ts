import { z } from "zod";
import { connectDatabase } from "../shared/database/connect.ts";
import { connectRabbitMq } from "../shared/messaging/rabbitmq-queue.ts";
import { loadClinics } from "../shared/runtime/clinics.ts";
import * as pieces from "../shared/runtime/config.ts";
import { runService } from "../shared/runtime/service.ts";
import { loadTemplates } from "../shared/templates/templates.ts";
import { startSmsWorker } from "./start-sms-worker.ts";
import { twilioConfig, twilioOptions } from "./twilio-config.ts";

const NAME = "sms-worker";
const PREFETCH = 100;
const CONNECTIONS_MAX = 4;

const config = z.object({
  ...pieces.httpConfig.shape,
  ...pieces.databaseConfig.shape,
  ...pieces.brokerConfig.shape,
  ...pieces.clinicsConfig.shape,
  ...pieces.publicConfig.shape,
  ...twilioConfig.shape,
});

export default runService({ name: NAME, config }, async (settings, { log, stack }) => {
  const clinics = await loadClinics(settings.CONFIG_DIR);
  const templates = await loadTemplates(settings.CONFIG_DIR);
  const sql = connectDatabase(settings.DATABASE_URL, {
    name: NAME,
    maxConnections: CONNECTIONS_MAX,
  });
  stack.defer(() => sql.end());
  const queue = await connectRabbitMq(settings.AMQP_URL, { name: NAME, log });
  stack.defer(() => queue.close());
  const parts = { sql, queue, clinics, templates, log, prefetch: PREFETCH };
  const worker = await startSmsWorker({ ...parts, twilio: twilioOptions(settings) });
  stack.defer(() => worker.stop());
  return { ready: worker.ready };
});
