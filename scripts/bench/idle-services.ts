import { formatColumns, rate } from "./measure.ts";
import { runService } from "./run-service.ts";
import type { World } from "./world.ts";

const HTTP_SERVICES = [
  "appointment-service",
  "notification-dispatcher",
  "email-worker",
  "sms-worker",
] as const;

export const IDLE_MEGABYTES_MAX = 120;
const MEGABYTE = 1e6;

/** Starts each service alone, as its image does, and looks at it once it is ready. */
export async function measureIdle({ environment }: World): Promise<string> {
  const rows = [];
  for (const name of HTTP_SERVICES) {
    const service = await runService(name, environment);
    const megabytes = await service.residentBytes() / MEGABYTE;
    await service.stop();
    const verdict = megabytes <= IDLE_MEGABYTES_MAX ? "reached" : "missed";
    const line = `≤ ${IDLE_MEGABYTES_MAX} ${verdict}`;
    rows.push([name, megabytes.toFixed(1), rate(service.readyMs), line]);
  }
  return formatColumns([["idle, as bundled", "MB resident", "ready ms", "line"], ...rows]);
}
