import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Resource } from "../../src/sandbox/fhir/resource.ts";
import { startTestSandbox } from "../support/sandbox.ts";

type Bundle = {
  resourceType: string;
  type: string;
  total: number;
  link: { relation: string; url: string }[];
  entry: { fullUrl: string; resource: Resource; search: { mode: string } }[];
};

const START_OF_TEST = Date.parse("2026-11-22T12:00:00Z");

let clock = START_OF_TEST;
const { fhirUrl } = await startTestSandbox({ now: () => new Date(clock) });

let lateClock = Date.parse("2026-11-22T23:59:00Z");
const late = await startTestSandbox({ now: () => new Date(lateClock) });

describe("the sandbox's patient API", () => {
  async function search(query: string): Promise<Bundle> {
    const response = await fetch(query.startsWith("http") ? query : `${fhirUrl}/${query}`);
    assert.equal(response.status, 200, query);
    return await response.json() as Bundle;
  }

  async function searchAll(query: string): Promise<Bundle["entry"]> {
    const entries: Bundle["entry"] = [];
    for (let next: string | undefined = query; next !== undefined;) {
      const page: Bundle = await search(next);
      entries.push(...page.entry);
      next = page.link.find(({ relation }) => relation === "next")?.url;
    }
    return entries;
  }

  async function read(path: string): Promise<Resource> {
    return await (await fetch(`${fhirUrl}/${path}`)).json() as Resource;
  }

  async function put(path: string, body: unknown, headers: Record<string, string> = {}) {
    return await fetch(`${fhirUrl}/${path}`, {
      method: "PUT",
      headers: { "content-type": "application/fhir+json", ...headers },
      body: JSON.stringify(body),
    });
  }

  test("pages through all appointments, each once, with what they include", async () => {
    const query =
      "Appointment?_count=20&_include=Appointment:patient&_include=Appointment:location";
    const first = await search(query);
    assert.deepEqual([first.resourceType, first.type], ["Bundle", "searchset"]);
    assert.equal(first.entry.filter(({ search }) => search.mode === "match").length, 20);

    const entries = await searchAll(query);
    const matches = entries.filter(({ search }) => search.mode === "match");
    const ids = matches.map(({ resource }) => resource.id);
    assert.equal(new Set(ids).size, ids.length);
    assert.equal(ids.length, first.total);
    const included = new Set(
      entries.filter(({ search }) => search.mode === "include")
        .map(({ resource }) => resource.resourceType),
    );
    assert.deepEqual(included, new Set(["Patient", "Location"]));
    for (const { fullUrl, resource } of entries) {
      assert.equal(fullUrl, `${fhirUrl}/${resource.resourceType}/${resource.id}`);
    }
  });

  test("misses nothing that changes while a client pages", async () => {
    const first = await search("Appointment?_count=10");
    const changed = first.entry[0]?.resource as Resource;
    clock += 1_000;
    await put(`Appointment/${changed.id}`, { ...changed, status: "cancelled" });
    const next = first.link.find(({ relation }) => relation === "next")?.url as string;
    const rest = await searchAll(next);
    const seen = new Set([...first.entry, ...rest].map(({ resource }) => resource.id));
    assert.equal(seen.size, first.total);
    assert.equal(
      rest.find(({ resource }) => resource.id === changed.id)?.resource.status,
      "cancelled",
    );
  });

  test("finds what was updated since a moment, and says which moment it is", async () => {
    clock += 60_000;
    const response = await fetch(`${fhirUrl}/Patient?_count=1`);
    const cursor = new Date(String(response.headers.get("date")));
    assert.equal(cursor.getTime(), Math.floor(clock / 1_000) * 1_000);

    clock += 60_000;
    const patient = await read("Patient/oak-p02");
    await put("Patient/oak-p02", { ...patient, active: false });
    const since = cursor.toISOString();
    const { entry, total } = await search(`Patient?_lastUpdated=ge${since}`);
    assert.deepEqual([entry[0]?.resource.id, total], ["oak-p02", 1]);
    const both = `Patient?_lastUpdated=gt${since}&_lastUpdated=lt${new Date(clock).toISOString()}`;
    assert.equal((await search(both)).total, 0);
  });

  test("filters by the appointment's date, also by more than one bound", async () => {
    const entries = await searchAll("Appointment?date=ge2026-11-24&date=lt2026-11-25");
    assert.ok(entries.length > 0);
    for (const { resource } of entries) {
      const start = Date.parse(String(resource.start));
      assert.ok(start >= Date.parse("2026-11-24") && start < Date.parse("2026-11-25"));
    }
  });

  test("begins after the whole day that gt names", async () => {
    const entries = await searchAll("Appointment?date=gt2026-11-24&date=le2026-11-25");
    assert.ok(entries.length > 0);
    for (const { resource } of entries) {
      assert.equal(new Date(String(resource.start)).toISOString().slice(0, 10), "2026-11-25");
    }
  });

  test("moves an appointment: the next version, with the time of the change", async () => {
    clock += 60_000;
    const path = "Appointment/oak-20261125-visit";
    const appointment = await read(path);
    const moved = { ...appointment, start: "2026-11-26T10:00:00+00:00" };
    const response = await put(path, moved, { "if-match": 'W/"1"' });
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("etag"), 'W/"2"');
    const meta = { versionId: "2", lastUpdated: new Date(clock).toISOString() };
    assert.deepEqual(await read(path), { ...moved, meta });
    assert.equal((await put(path, moved, { "if-match": 'W/"1"' })).status, 412);
  });

  test("creates an appointment that is put under a new id", async () => {
    const appointment = await read("Appointment/oak-20261126-visit");
    const created = { ...appointment, id: "made-by-hand" };
    assert.equal((await put("Appointment/made-by-hand", created)).status, 201);
    assert.equal((await read("Appointment/made-by-hand")).meta.versionId, "1");
  });

  const refused = [
    { query: "/Appointment?_lastUpdated=yesterday", says: /_lastUpdated: "yesterday"/ },
    { query: "/Appointment?_lastUpdated=ge2026-11-22T10:00:00", says: /is not a date/ },
    { query: "/Appointment?date=ap2026-11-22", says: /date: "ap2026-11-22"/ },
    { query: "/Appointment?_include=Appointment:slot", says: /_include: "Appointment:slot"/ },
    { query: "/Appointment?_count=many", says: /_count: "many"/ },
    { query: "/Appointment?_sort=-date", says: /_sort/ },
    { query: "/Appointment?patients=1", says: /patients is not a known search parameter/ },
    { query: "/Patient?date=ge2026-11-22", says: /date is not a known search parameter/ },
    { query: "/Observation", says: /Observation cannot be searched/ },
    { query: "?_page=bm90IGEgdG9rZW4", says: /page token/ },
  ];
  for (const { query, says } of refused) {
    test(`refuses ${query} with an OperationOutcome`, async () => {
      const response = await fetch(`${fhirUrl}${query}`);
      assert.equal(response.status, 400);
      assert.match(String(response.headers.get("content-type")), /^application\/fhir\+json/);
      const { resourceType, issue } = await response.json() as {
        resourceType: string;
        issue: { severity: string; diagnostics: string }[];
      };
      assert.equal(resourceType, "OperationOutcome");
      assert.match(issue[0]?.diagnostics ?? "", says);
    });
  }

  test("refuses to put what does not belong there", async () => {
    const patient = await read("Patient/oak-p03");
    assert.equal((await put("Patient/oak-p04", patient)).status, 400);
    assert.equal((await put("Appointment/oak-p03", patient)).status, 400);
    assert.equal((await put("Location/oak-main", await read("Location/oak-main"))).status, 400);
    assert.equal((await put("Patient/oak-p03", "text")).status, 400);
  });

  test("knows no resource that is not there, and describes itself", async () => {
    assert.equal((await fetch(`${fhirUrl}/Patient/nobody`)).status, 404);
    const statement = await read("metadata");
    assert.deepEqual([statement.resourceType, statement.fhirVersion], [
      "CapabilityStatement",
      "4.0.1",
    ]);
  });
});

describe("the sandbox's patient API over midnight", () => {
  test("adds what the new day brings and keeps what was put", async () => {
    const path = `${late.fhirUrl}/Appointment/oak-20261125-visit`;
    const appointment = await (await fetch(path)).json() as Resource;
    const body = JSON.stringify({ ...appointment, status: "cancelled" });
    await fetch(path, { method: "PUT", body });

    lateClock = Date.parse("2026-11-23T00:01:00Z");
    const query = "_lastUpdated=gt2026-11-22T23:59:30Z";
    const fresh = await (await fetch(`${late.fhirUrl}/Appointment?${query}`)).json() as Bundle;
    assert.ok(fresh.total > 0);
    assert.equal((await (await fetch(path)).json() as Resource).status, "cancelled");
  });
});
