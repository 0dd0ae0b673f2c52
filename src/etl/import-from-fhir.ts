import { createHash } from "node:crypto";
import type postgres from "postgres";
import { readClinicsOfPatients } from "../shared/database/patients.ts";
import { retryWhileUnavailable } from "../shared/database/retry.ts";
import { moveCursors, readCursors, type SyncedResource } from "../shared/database/sync-cursors.ts";
import { inTransaction } from "../shared/database/transaction.ts";
import { isUnavailable } from "../shared/database/unavailable.ts";
import { forgetUnusable } from "../shared/database/unusable-resources.ts";
import type { Clinic } from "../shared/domain/clinic.ts";
import type { Log } from "../shared/runtime/log.ts";
import { type ClientOptions, createFhirGet, type Fhir, type FhirGet } from "./fhir-client.ts";
import { mapAppointmentPage, mapPatients } from "./map-page.ts";
import { searchPages } from "./search-pages.ts";
import { newestUpdate, type SortedEntries, sortEntries } from "./sort-entries.ts";
import { type StoredCounts, storePage } from "./store-page.ts";

export type ImportCounts = StoredCounts & { pages: number };

export type ImportOptions = {
  sql: postgres.Sql;
  fetch: typeof globalThis.fetch;
  fhir: Fhir & Pick<ClientOptions, "pause" | "timeoutMs">;
  clinics: ReadonlyMap<string, Clinic>;
  log: Log;
  /** Called with the counts so far, after each page. */
  progress: (counts: ImportCounts) => void;
  signal: AbortSignal;
};

const PAGE_SIZE = 200;
/** A change may be committed or indexed a little after the time it bears. */
const OVERLAP_MS = 5 * 60_000;
/** A failover takes less. */
const DATABASE_AWAY_MAX_MS = 60_000;
/** Without a cursor, appointments from yesterday on are read: what is over earlier is of no use to anyone. */
const FIRST_READ_BACK_MS = 24 * 60 * 60_000;

/**
 * Brings our copy of the clinics' appointments and of their patients up to date.
 *
 * Page by page: one is stored before the next is asked for. It may be killed at any point and run again, and two at
 * once do no harm: pages are stored whole, no resource goes back to an older version, and the overlap heals the rest.
 * The cursors move, together, only when both searches have been read to their end: an appointment is not fresher than
 * what we know of its patient.
 */
export async function importFromFhir(options: ImportOptions): Promise<ImportCounts> {
  const { sql, clinics, fhir } = options;
  const get = createFhirGet({ ...options, ...fhir });
  const counts: ImportCounts = { pages: 0, appointments: 0, changed: 0, patients: 0, unusable: 0 };
  const cursors = new Map(
    (await throughFailover(() => readCursors(sql))).map((cursor) => [cursor.resource, cursor]),
  );
  const places = digestPlaces(clinics);

  const former = cursors.get("Appointment");
  // With a new place or zone everything that still matters is read again
  const since = former?.places === places ? former.cursorAt : null;
  const appointmentsAt = await importAppointments({ ...options, get, counts, since });
  // Whom the first read concerned has been included in it: from there on their changes count
  const patientsSince = cursors.get("Patient")?.cursorAt ?? appointmentsAt;
  const patientsAt = await importPatients({ ...options, get, counts, since: patientsSince });

  await throughFailover(() =>
    inTransaction(sql, async (tx) => {
      await moveCursors(tx, [
        { resource: "Appointment", cursorAt: appointmentsAt, places },
        { resource: "Patient", cursorAt: patientsAt, places },
      ]);
      await forgetUnusable(tx);
    })
  );
  return counts;
}

/** A page that may have been stored may be stored again. */
async function throughFailover<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await retryWhileUnavailable(work, { timeoutMs: DATABASE_AWAY_MAX_MS });
  } catch (error) {
    if (!isUnavailable(error)) throw error;
    const { code } = error as { code: string };
    throw new Error(
      `Cannot go on with the import: the database has been unavailable for ${
        DATABASE_AWAY_MAX_MS / 1_000
      } s (${code}). What was stored stays, the next import reads the rest`,
      { cause: error },
    );
  }
}

type Pass = ImportOptions & {
  get: FhirGet;
  counts: ImportCounts;
  /** The cursor; null to read everything that still matters. */
  since: Date | null;
};

/** Returns the time before which everything has been read. */
async function importAppointments(pass: Pass): Promise<Date | null> {
  const { sql, clinics, since } = pass;
  const clinicsByLocation = new Map(
    [...clinics.values()].flatMap((clinic) => clinic.fhirLocations.map((id) => [id, clinic])),
  );
  const changed: [string, string] = since === null
    ? ["date", `ge${new Date(Date.now() - FIRST_READ_BACK_MS).toISOString().slice(0, 10)}`]
    : changedSince(since);
  const parameters: [string, string][] = [
    changed,
    ["_include", "Appointment:patient"],
    ["_include", "Appointment:location"],
    ["_include", "Appointment:practitioner"],
  ];
  return await importPages(pass, "Appointment", parameters, (sorted, now) => {
    const page = mapAppointmentPage(sorted, { clinicsByLocation, now });
    return inTransaction(sql, (tx) => storePage(tx, page));
  });
}

/** A new phone number, a death or a merge changes the patient alone: it must reach us without the appointment. */
async function importPatients(pass: Pass): Promise<Date | null> {
  const { sql, clinics, since } = pass;
  if (since === null) return null; // The clinics have no appointments yet
  return await importPages(pass, "Patient", [changedSince(since)], async (sorted, now) => {
    const ours = await readClinicsOfPatients(sql, [...sorted.patients.keys()]);
    const countries = new Map(
      ours.map(({ id, clinicId }) => [id, clinics.get(clinicId ?? "")?.country ?? null]),
    );
    const { patients, unusable } = mapPatients(sorted, { countries, now });
    const page = { appointments: [], patients, unusable, absentPatients: [] };
    return await inTransaction(sql, (tx) => storePage(tx, page));
  });
}

async function importPages(
  { fhir, get, counts, progress, since }: Pass,
  resource: SyncedResource,
  parameters: [string, string][],
  store: (sorted: SortedEntries, now: Date) => Promise<StoredCounts>,
): Promise<Date | null> {
  const search = {
    baseUrl: fhir.baseUrl,
    resource,
    parameters: [...parameters, ["_count", String(PAGE_SIZE)] as [string, string]],
    advice: `If it refuses the cursor, delete the row "${resource}" of clinic.sync_cursor: ` +
      "the next import then reads everything that still matters",
  };
  let startedAt: Date | null = null;
  let newest: Date | null = null;
  for await (const { entries, serverDate } of searchPages(get, search)) {
    startedAt ??= serverDate;
    const sorted = sortEntries(entries, { searched: resource, baseUrl: fhir.baseUrl });
    const searched = resource === "Appointment" ? sorted.appointments : sorted.patients;
    newest = latest(newest, newestUpdate(searched.values()));

    const stored = await throughFailover(() => store(sorted, serverDate ?? new Date()));
    counts.pages++;
    for (const key of ["appointments", "changed", "patients", "unusable"] as const) {
      counts[key] += stored[key];
    }
    progress(counts);
  }
  // The server's time, never ours. What it changed after the search had begun may have been missed, so no later
  const readUntil = startedAt !== null && newest !== null && startedAt < newest
    ? startedAt
    : newest;
  return latest(since, readUntil);
}

function changedSince(cursor: Date): [string, string] {
  return ["_lastUpdated", `ge${new Date(cursor.getTime() - OVERLAP_MS).toISOString()}`];
}

function latest(a: Date | null, b: Date | null): Date | null {
  return a === null || (b !== null && b > a) ? b : a;
}

/** Changes when an appointment would be read differently: another clinic, zone or country for its place. */
function digestPlaces(clinics: ReadonlyMap<string, Clinic>): string {
  const places = [...clinics.values()]
    .flatMap(({ id, timeZone, country, fhirLocations }) =>
      fhirLocations.map((location) => [location, id, timeZone, country].join(" "))
    )
    .sort();
  return createHash("sha256").update(JSON.stringify(places)).digest("hex");
}
