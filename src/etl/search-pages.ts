import type { FhirGet } from "./fhir-client.ts";
import { parseJson } from "./fhir-client.ts";
import { Bundle, errorCode } from "./fhir-resources.ts";

export type Page = {
  entries: unknown[];
  /** The server's own time when it answered. */
  serverDate: Date | null;
};

export type Search = {
  baseUrl: string;
  resource: string;
  parameters: [name: string, value: string][];
  /** What to do when the server finds fault with the search itself: its first page is 400 or 410. */
  advice: string;
};

const PAGES_MAX = 10_000;

/** The pages of a FHIR search. The next is asked for only when the caller is done with the last. */
export async function* searchPages(
  get: FhirGet,
  { baseUrl, resource, parameters, advice }: Search,
): AsyncGenerator<Page> {
  const failure = (state: string) => new Error(`Cannot read ${resource} from ${baseUrl}: ${state}`);
  const seen = new Set<string>();
  let url: URL | null = new URL(`${baseUrl}/${resource}?${new URLSearchParams(parameters)}`);

  while (url !== null) {
    if (seen.has(url.href)) throw failure(`page ${seen.size} leads back to a page already read`);
    if (seen.size === PAGES_MAX) throw failure(`the search has over ${PAGES_MAX} pages`);
    seen.add(url.href);

    const answer = await get(url);
    if (answer.kind === "refused") {
      const { status, code } = answer;
      const hint = seen.size === 1 && (status === 400 || status === 410) ? `. ${advice}` : "";
      throw failure(
        `HTTP ${status}${code === null ? "" : ` (${code})`} for page ${seen.size}${hint}`,
      );
    }
    const page = readPage(answer.text);
    if (page.kind === "broken") throw failure(`page ${seen.size} ${page.state}`);
    yield { entries: page.entries, serverDate: answer.date };
    url = page.next === null ? null : nextUrl(page.next, url, failure);
  }
}

type ReadPage =
  | { kind: "page"; entries: unknown[]; next: string | null }
  | { kind: "broken"; state: string };

function readPage(text: string): ReadPage {
  const json = parseJson(text);
  if (json === undefined) return { kind: "broken", state: "is not JSON (HTTP 200)" };
  const { data } = Bundle.safeParse(json);
  const code = errorCode(json) ?? data?.entry.map(outcomeCode).find((found) => found !== null);
  if (code !== null && code !== undefined) {
    return { kind: "broken", state: `is an OperationOutcome (HTTP 200, ${code})` };
  }
  if (data === undefined) return { kind: "broken", state: "is not a FHIR Bundle (HTTP 200)" };
  const next = data.link.find(({ relation }) => relation === "next")?.url ?? null;
  return { kind: "page", entries: data.entry, next };
}

/** A server says inside the page that the page is not whole. */
function outcomeCode(entry: unknown): string | null {
  return errorCode((entry as { resource?: unknown } | null)?.resource);
}

function nextUrl(next: string, current: URL, failure: (state: string) => Error): URL {
  const url = URL.parse(next, current);
  if (url === null) throw failure("the link to the next page is no URL");
  // It would be sent the token
  if (url.origin !== current.origin) {
    throw failure(
      `the next page is said to be at ${url.origin}. Set FHIR_BASE_URL to the address the server gives itself`,
    );
  }
  return url;
}
