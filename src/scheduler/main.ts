import { z } from "zod";
import { runJob } from "../shared/runtime/service.ts";
import { triggerReminderRun } from "./trigger-reminder-run.ts";

const config = z.object({
  APPOINTMENT_SERVICE_URL: z.url({
    protocol: /^https?$/,
    error: "expected the Appointment Service's address, such as http://appointment-service:8080",
  }),
  APPOINTMENT_SERVICE_TOKEN: z.string(),
});

runJob({ name: "scheduler", config }, async (settings, { log, signal }) => {
  await triggerReminderRun({
    url: settings.APPOINTMENT_SERVICE_URL,
    token: settings.APPOINTMENT_SERVICE_TOKEN,
    fetch,
    log,
    signal,
  });
});
