import type postgres from "postgres";
import {
  type ImportCounts,
  importFromFhir,
  type ImportOptions,
} from "../../src/etl/import-from-fhir.ts";
import { MADRID } from "./fhir-samples.ts";

/** Runs an import from the server at `baseUrl`, which asks for no credentials and serves one clinic, unless told otherwise. */
export function createImport(
  sql: postgres.Sql,
  baseUrl: string,
): (changes?: Partial<ImportOptions>) => Promise<ImportCounts> {
  return (changes) =>
    importFromFhir({
      sql,
      fetch,
      fhir: {
        baseUrl,
        authorize: () => Promise.resolve({ kind: "authorized", header: null }),
      },
      clinics: new Map([["madrid", MADRID]]),
      log: { debug() {}, info() {}, warn() {}, error() {} },
      progress: () => {},
      signal: new AbortController().signal,
      ...changes,
    });
}

/** As before the first import. */
export async function clearImported(sql: postgres.Sql): Promise<void> {
  await sql`delete from clinic.appointment`;
  await sql`delete from clinic.patient`;
  await sql`delete from clinic.sync_cursor`;
  await sql`delete from clinic.unusable_resource`;
}
