import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type postgres from "postgres";
import { importFromFhir } from "../../src/etl/import-from-fhir.ts";
import type { Clinic } from "../../src/shared/domain/clinic.ts";
import { createLog } from "../../src/shared/runtime/log.ts";
import { perSecond } from "./bare-loops.ts";
import type { Comparison } from "./measure.ts";

const APPOINTMENTS = 5_000;
/** With as many patients. */
const RESOURCES = 2 * APPOINTMENTS;
const PAGE = 200;
const DAY_MS = 86_400_000;

export type ImportBench = { comparison: Comparison; stop: () => void };

export async function createImportBench(
  sql: postgres.Sql,
  clinics: ReadonlyMap<string, Clinic>,
): Promise<ImportBench> {
  const location = [...clinics.values()][0]?.fhirLocations[0] ?? "";
  const server = await servePages(location);
  const fhir = {
    baseUrl: server.baseUrl,
    authorize: async () => ({ kind: "authorized" as const, header: null }),
  };

  const ours = async () => {
    await clear(sql);
    const startedAt = performance.now();
    await importFromFhir({
      ...{ sql, fetch, fhir, clinics },
      log: createLog("bench", { level: "error" }),
      progress: () => {},
      signal: new AbortController().signal,
    });
    const rate = perSecond(RESOURCES, startedAt);
    await verify(sql);
    return rate;
  };
  const bare = async () => {
    const rows = await readRows(sql) ?? await ours().then(() => readRows(sql));
    await clear(sql);
    const startedAt = performance.now();
    await importBare(sql, server.baseUrl, rows ?? []);
    const rate = perSecond(RESOURCES, startedAt);
    await verify(sql);
    return rate;
  };
  return { comparison: { name: "imported FHIR resources", ours, bare }, stop: server.stop };
}

type PageRows = { patients: unknown[]; appointments: unknown[] };

/** What an import has stored, by pages; null when there was none. */
async function readRows(sql: postgres.Sql): Promise<PageRows[] | null> {
  const rows = await sql<{ patient: unknown; appointment: unknown }[]>`
    select to_jsonb(p) as patient, to_jsonb(a) as appointment
      from clinic.appointment a join clinic.patient p on p.id = a.patient_id order by a.id
  `;
  if (rows.length !== APPOINTMENTS) return null;
  return Array.from({ length: APPOINTMENTS / PAGE }, (_, page) => {
    const some = rows.slice(page * PAGE, (page + 1) * PAGE);
    return {
      patients: some.map(({ patient }) => patient),
      appointments: some.map(({ appointment }) => appointment),
    };
  });
}

/** Fetches and parses each page, and inserts the rows that an import makes of it. */
async function importBare(sql: postgres.Sql, baseUrl: string, pages: PageRows[]): Promise<void> {
  let url: string | undefined = `${baseUrl}/Appointment`;
  for (const { patients, appointments } of pages) {
    const response: Response = await fetch(url ?? baseUrl);
    const bundle = await response.json() as { link: { url: string }[] };
    url = bundle.link[0]?.url;
    await sql`
      with stored as (
        insert into clinic.patient
        select * from jsonb_populate_recordset(null::clinic.patient, ${sql.json(patients as never)})
      )
      insert into clinic.appointment
      select * from jsonb_populate_recordset(null::clinic.appointment, ${
      sql.json(appointments as never)
    })
    `;
  }
}

async function clear(sql: postgres.Sql): Promise<void> {
  await sql`
    truncate clinic.reminder, clinic.appointment, clinic.patient, clinic.sync_cursor, clinic.unusable_resource`;
}

async function verify(sql: postgres.Sql): Promise<void> {
  const [stored] = await sql`
    select (select count(*) from clinic.appointment)::int as appointments,
           (select count(*) from clinic.patient)::int as patients`;
  if (stored?.appointments === APPOINTMENTS && stored.patients === APPOINTMENTS) return;
  throw new Error(
    `Wrong count: ${stored?.appointments} appointments and ${stored?.patients} patients of ${APPOINTMENTS} were imported`,
  );
}

/** A patient API that has its pages ready. What was changed since the last import is nothing. */
async function servePages(location: string): Promise<{ baseUrl: string; stop: () => void }> {
  const pages = new Map<string, string>();
  const server = createServer((request, response) => {
    const { searchParams, pathname } = new URL(request.url ?? "", "http://localhost");
    const page = pathname.endsWith("/Patient") ? "none" : searchParams.get("page") ?? "0";
    response.setHeader("content-type", "application/fhir+json");
    response.end(pages.get(page));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/fhir`;
  const last = APPOINTMENTS / PAGE - 1;
  for (let page = 0; page <= last; page += 1) {
    const link = page === last ? [] : [{
      relation: "next",
      url: `${baseUrl}/Appointment?page=${page + 1}`,
    }];
    pages.set(String(page), makePage(page, { location, link }));
  }
  pages.set(
    "none",
    JSON.stringify({ resourceType: "Bundle", type: "searchset", link: [], entry: [] }),
  );
  return {
    baseUrl,
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

function makePage(
  page: number,
  { location, link }: { location: string; link: { relation: string; url: string }[] },
): string {
  const meta = { versionId: "1", lastUpdated: new Date().toISOString() };
  const entry = Array.from({ length: PAGE }, (_, index) => {
    const id = String(page * PAGE + index).padStart(6, "0");
    const patient = {
      ...{ resourceType: "Patient", id: `p-${id}`, meta, active: true },
      name: [{ use: "official", given: ["Sam"], family: "Taylor" }],
      telecom: [
        { system: "phone", value: `+4477009${id.slice(-5)}`, use: "mobile" },
        { system: "email", value: `patient-${id}@patients.example.org` },
      ],
      communication: [{ language: { coding: [{ code: "en-GB" }] }, preferred: true }],
    };
    const appointment = {
      ...{ resourceType: "Appointment", id: `a-${id}`, meta, status: "booked" },
      start: new Date(Date.now() + 7 * DAY_MS).toISOString(),
      end: new Date(Date.now() + 7 * DAY_MS + 1_800_000).toISOString(),
      participant: [
        { actor: { reference: `Patient/p-${id}` }, status: "accepted" },
        { actor: { reference: `Location/${location}` }, status: "accepted" },
        { actor: { reference: "Practitioner/d-1", display: "Dr Ruiz" }, status: "accepted" },
      ],
    };
    return [
      { resource: appointment, search: { mode: "match" } },
      { resource: patient, search: { mode: "include" } },
    ];
  }).flat();
  return JSON.stringify({ resourceType: "Bundle", type: "searchset", link, entry });
}
