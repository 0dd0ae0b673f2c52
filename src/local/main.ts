import { rm } from "node:fs/promises";
import process from "node:process";
import { parseArgs } from "node:util";
import { runProcess } from "../shared/runtime/service.ts";
import { keepRunning } from "./keep-running.ts";
import { runOnce } from "./run-once.ts";
import { parseSettings } from "./settings.ts";
import { startServices } from "./start-services.ts";

process.env.LOG_LEVEL ??= "warn"; // A person is reading

await runProcess("carillon", async (context, environment) => {
  const { values } = parseArgs({
    options: { once: { type: "boolean" }, fresh: { type: "boolean" } },
  });
  const settings = parseSettings(environment);
  if (values.fresh === true) await rm(settings.STATE_DIR, { recursive: true, force: true });
  const local = await startServices(settings, environment, context);

  if (values.once === true) {
    if (!await runOnce(local, console.log)) process.exitCode = 1;
    return;
  }
  console.log(`Carillon is running. Press Ctrl-C to end it.
  ${local.sandbox?.url ?? "(no sandbox)"}  what patients would get
  ${local.dispatcherUrl}/docs  the Notification Dispatcher, key carillon-local-live
  ${local.appointmentServiceUrl}  the Appointment Service, token carillon-local-operator`);
  await keepRunning(local, context);
});
