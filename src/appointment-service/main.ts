import { z } from "zod";
import { connectDatabase } from "../shared/database/connect.ts";
import { loadClinics } from "../shared/runtime/clinics.ts";
import { clinicsConfig, databaseConfig, httpConfig } from "../shared/runtime/config.ts";
import { runService } from "../shared/runtime/service.ts";
import { createAppointmentService } from "./appointment-service.ts";

const config = z.object({
  ...httpConfig.shape,
  ...databaseConfig.shape,
  ...clinicsConfig.shape,
  DISPATCHER_URL: z.url({
    protocol: /^https?$/,
    error: "expected the Dispatcher's address, such as http://notification-dispatcher:8080",
  }),
  DISPATCHER_API_KEY: z.string(),
  APPOINTMENT_SERVICE_TOKEN: z.string(),
});

export default runService(
  { name: "appointment-service", config },
  async (settings, { log, signal, stack }) => {
    const clinics = await loadClinics(settings.CONFIG_DIR);
    const sql = connectDatabase(settings.DATABASE_URL, { name: "appointment-service" });
    stack.defer(() => sql.end());
    const { routes } = createAppointmentService({
      sql,
      clinics,
      dispatcher: { url: settings.DISPATCHER_URL, apiKey: settings.DISPATCHER_API_KEY, fetch },
      token: settings.APPOINTMENT_SERVICE_TOKEN,
      log,
      signal,
    });
    return { routes, ready: async () => void await sql`select 1` };
  },
);
