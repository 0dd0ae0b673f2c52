import type { SourceVersion } from "../shared/database/source-versions.ts";
import type { UnusableReason, UnusableResource } from "../shared/database/unusable-resources.ts";
import {
  Entry,
  type HumanName,
  Identity,
  Location,
  Practitioner,
  Versioned,
} from "./fhir-resources.ts";

/** What is recorded of a resource without a readable id. No FHIR id looks like this. */
const NO_ID = "(no id)";

type Resource = UnusableResource["resource"];

/** A page of a search, sorted by what its entries are. Each resource by its id. */
export type SortedEntries = {
  appointments: Map<string, unknown>;
  patients: Map<string, unknown>;
  /** Names of places and practitioners, by "Location/id" and the like. */
  names: Map<string, string>;
  /** The addresses the server goes by: the one we use, and those in its own answers. */
  bases: Set<string>;
  unusable: UnusableResource[];
};

/** `searched` is what an entry that does not even say its type is counted as. */
export function sortEntries(
  entries: readonly unknown[],
  { searched, baseUrl }: { searched: Resource; baseUrl: string },
): SortedEntries {
  const sorted: SortedEntries = {
    appointments: new Map(),
    patients: new Map(),
    names: new Map(),
    bases: new Set([baseUrl]),
    unusable: [],
  };
  for (const entry of entries) {
    const { data } = Entry.safeParse(entry);
    if (data === undefined) sorted.unusable.push(toUnusable(searched, null, "invalid"));
    else sortEntry(sorted, data);
  }
  return sorted;
}

function sortEntry(sorted: SortedEntries, { resource, fullUrl }: Entry): void {
  const { resourceType } = resource;
  const id = idOf(resource);
  switch (resourceType) {
    case "Appointment":
    case "Patient": {
      if (id === null) {
        sorted.unusable.push(toUnusable(resourceType, resource, "invalid"));
        return;
      }
      (resourceType === "Appointment" ? sorted.appointments : sorted.patients).set(id, resource);
      const path = `/${resourceType}/${id}`;
      if (fullUrl?.endsWith(path)) sorted.bases.add(fullUrl.slice(0, -path.length));
      return;
    }
    case "Location": {
      const { data } = Location.safeParse(resource);
      if (data !== undefined) sorted.names.set(`Location/${data.id}`, data.name);
      return;
    }
    case "Practitioner": {
      const { data } = Practitioner.safeParse(resource);
      const [name] = data?.name ?? [];
      if (name !== undefined) sorted.names.set(`Practitioner/${data?.id}`, printName(name));
    }
  }
}

export function toUnusable(
  resource: Resource,
  content: unknown,
  reason: UnusableReason,
): UnusableResource {
  return { resource, id: idOf(content) ?? NO_ID, reason, ...versionOf(content) };
}

/** When the server last changed each resource; the newest of them. */
export function newestUpdate(resources: Iterable<unknown>): Date | null {
  let newest: Date | null = null;
  for (const resource of resources) {
    const { sourceUpdatedAt } = versionOf(resource);
    if (sourceUpdatedAt !== null && (newest === null || sourceUpdatedAt > newest)) {
      newest = sourceUpdatedAt;
    }
  }
  return newest;
}

function idOf(resource: unknown): string | null {
  return Identity.safeParse(resource).data?.id ?? null;
}

function versionOf(resource: unknown): SourceVersion {
  const meta = Versioned.safeParse(resource).data?.meta;
  return { version: meta?.versionId ?? null, sourceUpdatedAt: meta?.lastUpdated ?? null };
}

function printName({ text, prefix, given, family }: HumanName): string {
  return text ?? [...prefix, given[0], family].filter(Boolean).join(" ");
}
