import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after } from "node:test";

export type FhirResource =
  & { resourceType: string; id: string; meta?: object }
  & Record<
    string,
    unknown
  >;

/** Answers a request instead of the server, and returns true; false leaves the request to the server. */
export type Fault = (
  request: IncomingMessage,
  response: ServerResponse,
) => boolean | Promise<boolean>;

export type FhirServer = {
  baseUrl: string;
  /** Path and query of each request, in order. */
  requests: string[];
  /** The Authorization header of each request. */
  authorizations: (string | undefined)[];
  /** The time the server believes it is: each resource put moves it on by a second. */
  clock: Date;
  /** Entries of the searched type on one page. */
  pageSize: number;
  /** Asked before each answer. */
  fault: Fault | null;
  /** Adds or replaces a resource, with the next version and the server's time unless it brings its own. */
  put: (resource: FhirResource) => void;
  /** As new: nothing stored, nothing asked. */
  reset: () => void;
};

const SECOND_MS = 1_000;

/** A small FHIR R4 server on a port of its own: searches with _lastUpdated, date, _include and pages. Closed after the test file. */
export async function startFhirServer(): Promise<FhirServer> {
  const resources = new Map<string, FhirResource>();
  const http = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  const { port } = http.address() as AddressInfo;
  after(() => {
    http.closeAllConnections();
    return new Promise((closed) => http.close(closed));
  });

  const server: FhirServer = {
    baseUrl: `http://127.0.0.1:${port}/fhir`,
    ...fresh(),
    reset() {
      resources.clear();
      Object.assign(server, fresh());
    },
    put(resource) {
      server.clock = new Date(server.clock.getTime() + SECOND_MS);
      const key = `${resource.resourceType}/${resource.id}`;
      const former = resources.get(key)?.meta as { versionId?: string } | undefined;
      const meta = {
        versionId: String(Number(former?.versionId ?? 0) + 1),
        lastUpdated: server.clock.toISOString(),
      };
      resources.set(key, { ...resource, meta: resource.meta ?? meta });
    },
  };

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    server.requests.push(request.url ?? "");
    server.authorizations.push(request.headers.authorization);
    response.setHeader("date", server.clock.toUTCString());
    if (await server.fault?.(request, response)) return;
    const bundle = search(new URL(request.url ?? "", server.baseUrl));
    response.setHeader("content-type", "application/fhir+json");
    response.end(JSON.stringify(bundle));
  }

  function search(url: URL): object {
    const type = url.pathname.split("/").at(-1);
    const offset = Number(url.searchParams.get("_offset") ?? 0);
    const since = url.searchParams.get("_lastUpdated")?.replace(/^ge/, "") ?? null;
    const date = url.searchParams.get("date")?.replace(/^ge/, "") ?? null;
    const matches = [...resources.values()].filter((resource) =>
      resource.resourceType === type &&
      (since === null || lastUpdated(resource) >= Date.parse(since)) &&
      (date === null || Date.parse(String(resource.start)) >= Date.parse(date))
    );
    const page = matches.slice(offset, offset + server.pageSize);
    const included = url.searchParams.getAll("_include").length === 0 ? [] : includedBy(page);
    const next = offset + server.pageSize < matches.length
      ? [{ relation: "next", url: nextLink(url, offset + server.pageSize) }]
      : [];
    return {
      resourceType: "Bundle",
      type: "searchset",
      link: [{ relation: "self", url: url.href }, ...next],
      entry: [
        ...page.map((resource) => entry(resource, "match")),
        ...included.map((resource) => entry(resource, "include")),
      ],
    };
  }

  function includedBy(page: readonly FhirResource[]): FhirResource[] {
    const references = page.flatMap(({ participant }) =>
      Array.isArray(participant) ? participant.map(({ actor }) => String(actor?.reference)) : []
    );
    return [...new Set(references)].flatMap((reference) => resources.get(reference) ?? []);
  }

  function entry(resource: FhirResource, mode: string): object {
    const fullUrl = `${server.baseUrl}/${resource.resourceType}/${resource.id}`;
    return { fullUrl, resource, search: { mode } };
  }

  return server;
}

function fresh(): Pick<
  FhirServer,
  "requests" | "authorizations" | "clock" | "pageSize" | "fault"
> {
  const clock = new Date("2026-11-20T08:00:00Z");
  return { requests: [], authorizations: [], clock, pageSize: 200, fault: null };
}

/** Relative, as the specification allows. */
function nextLink(url: URL, offset: number): string {
  const next = new URL(url);
  next.searchParams.set("_offset", String(offset));
  return next.search;
}

function lastUpdated({ meta }: FhirResource): number {
  return Date.parse((meta as { lastUpdated?: string } | undefined)?.lastUpdated ?? "");
}

/** Answers the first `times` requests with `status`, and then lets the server answer. */
export function failTimes(
  times: number,
  status: number,
  { headers = {}, body = "" }: { headers?: Record<string, string>; body?: string } = {},
): Fault {
  let failed = 0;
  return (_, response) => {
    if (failed === times) return false;
    failed++;
    response.writeHead(status, headers).end(body);
    return true;
  };
}
