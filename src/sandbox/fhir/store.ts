import type { Resource } from "./resource.ts";

export type PutResult =
  | { kind: "created" | "updated"; resource: Resource }
  /** `If-Match` named another version than the current one. */
  | { kind: "version-conflict"; current: string | null };

export type FhirStore = {
  get: (resourceType: string, id: string) => Resource | undefined;
  /** In the order of `byLastUpdate`. */
  all: (resourceType: string) => Resource[];
  put: (resource: Resource, options: { ifMatch: string | null }) => PutResult;
};

/**
 * Resources in memory. What `generate` makes for a new day is added as the day comes; what is there, put by somebody or
 * not, stays.
 */
export function createFhirStore(
  { generate, now }: { generate: (today: Temporal.PlainDate) => Resource[]; now: () => Date },
): FhirStore {
  const resources = new Map<string, Map<string, Resource>>();
  let filledFor = "";

  function ofType(resourceType: string): Map<string, Resource> {
    const today = now().toISOString().slice(0, 10);
    if (today !== filledFor) {
      filledFor = today;
      for (const resource of generate(Temporal.PlainDate.from(today))) add(resource);
    }
    return resources.get(resourceType) ?? new Map();
  }

  function add(resource: Resource): void {
    const sameType = resources.get(resource.resourceType) ?? new Map<string, Resource>();
    resources.set(resource.resourceType, sameType);
    if (!sameType.has(resource.id)) sameType.set(resource.id, resource);
  }

  return {
    get: (resourceType, id) => ofType(resourceType).get(id),
    all: (resourceType) => [...ofType(resourceType).values()].toSorted(byLastUpdate),
    put: (resource, { ifMatch }) => {
      const sameType = ofType(resource.resourceType);
      const current = sameType.get(resource.id)?.meta.versionId ?? null;
      if (ifMatch !== null && ifMatch !== current) return { kind: "version-conflict", current };

      const meta = { versionId: String(Number(current) + 1), lastUpdated: now().toISOString() };
      const stored = { ...resource, meta };
      sameType.set(resource.id, stored);
      resources.set(resource.resourceType, sameType);
      return { kind: current === null ? "created" : "updated", resource: stored };
    },
  };
}

/** What a resource's place in the order of searches depends on. */
export type Place = { id: string; meta: { lastUpdated: string } };

/** The order of searches: what changes while a client pages moves behind what it has yet to read, so it misses nothing. */
export function byLastUpdate(a: Place, b: Place): number {
  return lastUpdateMs(a) - lastUpdateMs(b) || (a.id < b.id ? -1 : Number(a.id > b.id));
}

export function lastUpdateMs({ meta }: Place): number {
  return Date.parse(meta.lastUpdated);
}
