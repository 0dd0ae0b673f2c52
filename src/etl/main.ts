import process from "node:process";
import { z } from "zod";
import { connectDatabase } from "../shared/database/connect.ts";
import { loadClinics } from "../shared/runtime/clinics.ts";
import { clinicsConfig, databaseConfig } from "../shared/runtime/config.ts";
import { runJob } from "../shared/runtime/service.ts";
import { configureFhir, fhirConfig } from "./configure-fhir.ts";
import { importFromFhir } from "./import-from-fhir.ts";
import { createProgressLine } from "./progress-line.ts";

/** For a page: nobody waits for it. */
const STATEMENT_TIMEOUT_MS = 30_000;

const config = z.object({
  ...databaseConfig.shape,
  ...clinicsConfig.shape,
  ...fhirConfig.shape,
});

runJob({ name: "etl", config }, async (settings, { log, signal, stack }) => {
  const clinics = await loadClinics(settings.CONFIG_DIR);
  const fhir = await configureFhir(settings, { fetch, signal });
  const sql = connectDatabase(settings.DATABASE_URL, {
    name: "etl",
    maxConnections: 1,
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
  });
  stack.defer(() => sql.end({ timeout: 5 }));

  const startedAt = performance.now();
  const terminal = process.stderr.isTTY;
  const line = createProgressLine(process.stderr);
  const progress = terminal ? line.show : () => {};
  const counts = await importFromFhir({ sql, fetch, fhir, clinics, log, progress, signal })
    .finally(line.end);
  const durationMs = Math.round(performance.now() - startedAt);
  if (!terminal) log.info("imported", { ...counts, durationMs });
});
