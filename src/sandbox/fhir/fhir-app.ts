import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { Resource } from "./resource.ts";
import {
  type ParsedSearch,
  parseSearch,
  parseToken,
  runSearch,
  SEARCHABLE_TYPES,
} from "./search.ts";
import type { FhirStore } from "./store.ts";

const FHIR_JSON = { "content-type": "application/fhir+json; charset=utf-8" };
const BODY_MAX_BYTES = 1024 * 1024;
const WRITABLE_TYPES = ["Appointment", "Patient"];

/**
 * A FHIR R4 server, as far as an import and a person at a laptop need one: search and read, and PUT to move or cancel an
 * appointment or to change a patient. Any credentials are accepted.
 */
export function createFhirApp({ store, now }: { store: FhirStore; now: () => Date }): Hono {
  const app = new Hono();

  app.use(async (c, next) => {
    await next();
    c.header("date", now().toUTCString()); // The client's cursor: it must be the clock that stamps lastUpdated
  });
  app.get("/metadata", (c) => c.json(capabilityStatement(now()), 200, FHIR_JSON));
  app.get("/", (c) => answerSearch(c, parseToken(c.req.query("_page") ?? "")));
  app.get("/:type", (c) => {
    const { search } = new URL(c.req.url);
    return answerSearch(c, parseSearch(c.req.param("type"), search));
  });
  app.get("/:type/:id", (c) => {
    const { type, id } = c.req.param();
    const resource = store.get(type, id);
    if (resource === undefined) return outcome(c, 404, "not-found", `${type}/${id} is not known`);
    return c.json(resource, 200, { ...FHIR_JSON, etag: `W/"${resource.meta.versionId}"` });
  });
  app.put("/:type/:id", bodyLimit({ maxSize: BODY_MAX_BYTES }), async (c) => {
    const { type, id } = c.req.param();
    const body: unknown = await c.req.json().catch(() => null);
    const problem = problemOf(body, { type, id });
    if (problem !== null) return outcome(c, 400, "invalid", problem);

    const ifMatch = c.req.header("if-match")?.replace(/^W\/"(.*)"$/, "$1") ?? null;
    const result = store.put(body as Resource, { ifMatch });
    if (result.kind === "version-conflict") {
      return outcome(c, 412, "conflict", `the current version is ${result.current ?? "none"}`);
    }
    const { versionId } = result.resource.meta;
    const status = result.kind === "created" ? 201 : 200;
    return c.json(result.resource, status, { ...FHIR_JSON, etag: `W/"${versionId}"` });
  });
  app.all("*", (c) => outcome(c, 404, "not-supported", "there is nothing at this address"));

  function answerSearch(c: Context, search: ParsedSearch): Response {
    if ("problem" in search) return outcome(c, 400, search.code, search.problem);
    const base = new URL(c.req.url).origin + "/fhir";
    const { total, matches, included, nextToken } = runSearch(store, search);
    const entry = (mode: string) => (resource: Resource) => ({
      fullUrl: `${base}/${resource.resourceType}/${resource.id}`,
      resource,
      search: { mode },
    });
    const bundle = {
      resourceType: "Bundle",
      type: "searchset",
      meta: { lastUpdated: now().toISOString() },
      total,
      link: [
        { relation: "self", url: c.req.url },
        ...(nextToken === null ? [] : [{ relation: "next", url: `${base}?_page=${nextToken}` }]),
      ],
      entry: [...matches.map(entry("match")), ...included.map(entry("include"))],
    };
    return c.json(bundle, 200, FHIR_JSON);
  }

  return app;
}

function problemOf(body: unknown, { type, id }: { type: string; id: string }): string | null {
  if (!WRITABLE_TYPES.includes(type)) return `only ${WRITABLE_TYPES.join(" and ")} can be put`;
  if (!/^[A-Za-z0-9.-]{1,64}$/.test(id)) return "the id is not a FHIR id";
  const given = body as Partial<Resource> | null;
  if (typeof given !== "object" || given === null) return "the body is not a JSON object";
  if (given.resourceType !== type) return `resourceType: expected "${type}", as in the address`;
  if (given.id !== id) return `id: expected "${id}", as in the address`;
  return null;
}

function outcome(
  c: Context,
  status: 400 | 404 | 412,
  code: string,
  diagnostics: string,
): Response {
  const issue = [{ severity: "error", code, diagnostics }];
  return c.json({ resourceType: "OperationOutcome", issue }, status, FHIR_JSON);
}

function capabilityStatement(date: Date): Record<string, unknown> {
  const resource = ["Appointment", "Patient", "Practitioner", "Location"].map((type) => ({
    type,
    interaction: [
      { code: "read" },
      ...(SEARCHABLE_TYPES.includes(type) ? [{ code: "search-type" }] : []),
      ...(WRITABLE_TYPES.includes(type) ? [{ code: "update" }] : []),
    ],
  }));
  return {
    resourceType: "CapabilityStatement",
    status: "active",
    date: date.toISOString(),
    kind: "instance",
    implementation: { description: "Sample clinics of the sandbox" },
    fhirVersion: "4.0.1",
    format: ["json"],
    rest: [{ mode: "server", resource }],
  };
}
