/**
 * Measures Carillon against bare loops in the same run: `npm run bench -- --rounds 5 --only "end to end"`.
 *
 * Every run counts what arrived. A wrong count ends it with 1; a line that is missed does not, for the machine may have
 * been busy.
 */
import { cpus, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { connectRabbitMq } from "../src/shared/messaging/rabbitmq-queue.ts";
import { loadClinics } from "../src/shared/runtime/clinics.ts";
import { createLog } from "../src/shared/runtime/log.ts";
import { loadTemplates } from "../src/shared/templates/templates.ts";
import { createAcceptComparisons } from "./bench/accept.ts";
import { createDrainComparison, type DrainParts } from "./bench/drain.ts";
import { createEndToEnd } from "./bench/end-to-end.ts";
import { measureIdle } from "./bench/idle-services.ts";
import { createImportBench } from "./bench/import.ts";
import { compare, type Comparison, formatTable, type Row } from "./bench/measure.ts";
import { createProviderComparisons } from "./bench/providers.ts";
import { createReminderComparisons } from "./bench/reminders.ts";
import { acceptSamples } from "./bench/rows.ts";
import { runService } from "./bench/run-service.ts";
import { CONFIG_DIR, openWorld, type World } from "./bench/world.ts";

type Measure = (comparison: Comparison) => Promise<void>;

/** What needs a dispatcher. Returns what the rest needs. */
async function measureServices(world: World, measure: Measure): Promise<DrainParts> {
  const { sql, amqpUrl, databaseUrl, environment } = world;
  const log = createLog("bench", { level: "warn" });
  const queue = await connectRabbitMq(amqpUrl, { name: "bench", log });
  const clinics = await loadClinics(CONFIG_DIR);
  const templates = await loadTemplates(CONFIG_DIR);
  const dispatcher = await runService("notification-dispatcher", environment);
  const dispatcherUrl = dispatcher.url;
  const samples = await acceptSamples({ sql, queue, dispatcherUrl });

  const parts = { sql, amqpUrl, queue, dispatcherUrl };
  for (const comparison of createAcceptComparisons(parts, samples.email)) await measure(comparison);
  for (const one of await createReminderComparisons({ ...parts, clinics })) await measure(one);
  const workers = [
    await runService("email-worker", environment),
    await runService("sms-worker", environment),
  ];
  await measure(createEndToEnd({ sql, dispatcherUrl }));
  for (const service of [...workers, dispatcher]) await service.stop();
  return { sql, amqpUrl, databaseUrl, queue, clinics, templates, samples };
}

async function measureParts(parts: DrainParts, measure: Measure): Promise<void> {
  await measure(createDrainComparison(parts, "email"));
  await measure(createDrainComparison(parts, "sms"));
  for (const comparison of createProviderComparisons(parts)) await measure(comparison);
  const imports = await createImportBench(parts.sql, parts.clinics);
  await measure(imports.comparison);
  imports.stop();
  await parts.queue.close();
}

const { values: { rounds, only } } = parseArgs({
  options: { rounds: { type: "string", default: "5" }, only: { type: "string", default: "" } },
});
const rows: Row[] = [];
const measure: Measure = async (comparison) => {
  if (!comparison.name.includes(only)) return;
  console.error(`${comparison.name} …`);
  rows.push(await compare(comparison, { rounds: Number(rounds) }));
};
const world = await openWorld(console.error);
try {
  await measureParts(await measureServices(world, measure), measure);
  const idle = "idle".includes(only) ? await measureIdle(world) : "";
  const load = loadavg().map((average) => average.toFixed(1)).join(" ");
  const machine = `${cpus().length} × ${cpus()[0]?.model}, load ${load}`;
  console.log([...world.description, machine].join("; "));
  console.log(`median (range) of ${rounds} rounds, ours and bare in turn\n`);
  console.log([formatTable(rows), idle].join("\n\n"));
} finally {
  await world.stop();
}
