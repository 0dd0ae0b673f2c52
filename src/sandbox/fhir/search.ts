import { Buffer } from "node:buffer";
import { type DateFilter, parseDateFilter } from "./date-filter.ts";
import type { Resource } from "./resource.ts";
import { byLastUpdate, type FhirStore, lastUpdateMs, type Place } from "./store.ts";

const COUNT_DEFAULT = 50;
const COUNT_MAX = 200;

export type Search = {
  resourceType: string;
  filters: ((resource: Resource) => boolean)[];
  /** Types of the resources that each match refers to and that come along. */
  include: ReadonlySet<string>;
  count: number;
  /** The page begins behind this resource; null: at the first. */
  after: Place | null;
  /** As the client wrote it: the next page's link repeats it. */
  query: string;
};

export type ParsedSearch = Search | { problem: string; code: "invalid" | "not-supported" };

export type SearchPage = {
  total: number;
  matches: Resource[];
  included: Resource[];
  /** Null on the last page. */
  nextToken: string | null;
};

const SEARCHABLE: Record<string, { include: Record<string, string[]>; parameters: string[] }> = {
  Appointment: {
    include: {
      "Appointment:patient": ["Patient"],
      "Appointment:location": ["Location"],
      "Appointment:practitioner": ["Practitioner"],
      "Appointment:actor": ["Patient", "Location", "Practitioner"],
    },
    parameters: ["date", "status"],
  },
  Patient: { include: {}, parameters: [] },
};

export const SEARCHABLE_TYPES = Object.keys(SEARCHABLE);

/** Strict: a parameter that is not known is refused, so that a client's mistake does not pass for an empty answer. */
export function parseSearch(
  resourceType: string,
  query: string,
  after: Place | null = null,
): ParsedSearch {
  const known = SEARCHABLE[resourceType];
  if (known === undefined) {
    return { problem: `${resourceType} cannot be searched`, code: "not-supported" };
  }
  const include = new Set<string>();
  const search: Search = { resourceType, filters: [], include, count: COUNT_DEFAULT, after, query };
  for (const [name, value] of new URLSearchParams(query)) {
    const bad = (expected: string) => ({
      problem: `${name}: "${value}" is not ${expected}`,
      code: "invalid" as const,
    });
    if (name === "_lastUpdated" || (name === "date" && known.parameters.includes(name))) {
      const accepts = parseDateFilter(value);
      if (accepts === null) return bad("a date such as ge2026-11-22 or ge2026-11-22T08:00:00Z");
      search.filters.push(name === "date" ? startIn(accepts) : (r) => accepts(lastUpdateMs(r)));
    } else if (name === "status" && known.parameters.includes(name)) {
      search.filters.push(({ status }) => value.split(",").includes(String(status)));
    } else if (name === "_id") {
      search.filters.push(({ id }) => value.split(",").includes(id));
    } else if (name === "_include") {
      const types = known.include[value];
      if (types === undefined) return bad(`one of ${Object.keys(known.include).join(", ")}`);
      for (const type of types) include.add(type);
    } else if (name === "_count") {
      if (!/^\d{1,9}$/.test(value)) return bad("a number of resources");
      search.count = Math.min(Number(value), COUNT_MAX);
    } else if (name === "_sort") {
      if (value !== "_lastUpdated") return bad("_lastUpdated, the only order there is");
    } else if (name !== "_format") {
      return { problem: `${name} is not a known search parameter`, code: "not-supported" };
    }
  }
  return search;
}

export function runSearch(store: FhirStore, search: Search): SearchPage {
  const { resourceType, filters, include, count, after, query } = search;
  const found = store.all(resourceType).filter((r) => filters.every((accepts) => accepts(r)));
  const rest = after === null
    ? found
    : found.filter((resource) => byLastUpdate(resource, after) > 0);
  const matches = rest.slice(0, count);
  const last = matches.at(-1);
  const more = last !== undefined && matches.length < rest.length;
  return {
    total: found.length,
    matches,
    included: includedBy(matches, include, store),
    nextToken: more ? encodeToken(resourceType, query, last) : null,
  };
}

function startIn(accepts: DateFilter): (resource: Resource) => boolean {
  return ({ start }) => typeof start === "string" && accepts(Date.parse(start));
}

function includedBy(
  matches: Resource[],
  types: ReadonlySet<string>,
  store: FhirStore,
): Resource[] {
  const included = new Map<string, Resource>();
  for (const { participant } of matches) {
    for (const { actor } of Array.isArray(participant) ? participant : []) {
      const [type = "", id = ""] = String(actor?.reference).split("/");
      const resource = types.has(type) ? store.get(type, id) : undefined;
      if (resource !== undefined) included.set(`${type}/${id}`, resource);
    }
  }
  return [...included.values()];
}

function encodeToken(resourceType: string, query: string, { id, meta }: Place): string {
  const after = { id, meta: { lastUpdated: meta.lastUpdated } };
  return Buffer.from(JSON.stringify({ resourceType, query, after })).toString("base64url");
}

/** The search that a next link stands for. */
export function parseToken(token: string): ParsedSearch {
  try {
    const { resourceType, query, after } = JSON.parse(Buffer.from(token, "base64url").toString());
    if (typeof after.id === "string" && typeof after.meta.lastUpdated === "string") {
      return parseSearch(String(resourceType), String(query), after);
    }
  } catch {
    // Not a token of ours: the client is told below
  }
  return { problem: "the page token is not one of this server", code: "invalid" };
}
