import { describeError, type Log } from "../shared/runtime/log.ts";
import { repeat } from "../shared/runtime/repeat.ts";
import type { Local } from "./start-services.ts";

const IMPORT_PAUSE_MS = 5 * 60_000;
const REMINDER_PAUSE_MS = 60_000;

/** Does what the two CronJobs do, until `signal` aborts. The first reminders follow the first import. */
export async function keepRunning(
  { importAppointments, runReminders }: Local,
  { log, signal }: { log: Log; signal: AbortSignal },
): Promise<void> {
  const onError = (error: unknown) => {
    if (!signal.aborted) log.error("a pass failed", describeError(error));
  };
  await importAppointments().catch(onError);
  await Promise.all([
    repeat(async () => void await importAppointments(), {
      pauseMs: IMPORT_PAUSE_MS,
      signal,
      onError,
    }),
    repeat(async () => void await runReminders(), { pauseMs: REMINDER_PAUSE_MS, signal, onError }),
  ]);
}
