import { z } from "zod";
import { createBackendAuthorize, isSafe } from "./backend-token.ts";
import type { Fhir } from "./fhir-client.ts";
import { isLoopback } from "./loopback.ts";
import { readSigningKey } from "./signing-key.ts";

const address = (example: string) =>
  z.url({ protocol: /^https?$/, error: `expected a URL such as ${example}` });

/** The External Patient API, and how it is told who we are. */
export const fhirConfig = z.object({
  FHIR_BASE_URL: address("https://fhir.example.org/r4")
    .transform((url) => url.replace(/\/+$/, "")),
  FHIR_TOKEN: z.string().regex(/^[\x21-\x7e]+$/, "expected a bearer token").optional(),
  FHIR_CLIENT_ID: z.string().min(1).optional(),
  FHIR_PRIVATE_KEY: z.string().min(1).optional(),
  FHIR_TOKEN_URL: address("https://auth.example.org/token").optional(),
  FHIR_SCOPE: z.string().min(1).default("system/*.rs"),
});
export type FhirConfig = z.infer<typeof fhirConfig>;

/** Chooses between a fixed token, SMART Backend Services, and no credentials at all for a server on this machine. */
export async function configureFhir(
  config: FhirConfig,
  { fetch, signal }: { fetch: typeof globalThis.fetch; signal: AbortSignal },
): Promise<Fhir> {
  const { FHIR_BASE_URL: baseUrl, FHIR_TOKEN: token, FHIR_CLIENT_ID: clientId } = config;
  const { FHIR_PRIVATE_KEY: privateKey, FHIR_TOKEN_URL: tokenUrl = null } = config;
  const signed = clientId !== undefined || privateKey !== undefined;

  if (token !== undefined && signed) {
    throw refusal(
      "FHIR_TOKEN: expected either it or FHIR_CLIENT_ID with FHIR_PRIVATE_KEY, not both",
    );
  }
  if (token !== undefined) return withHeader(baseUrl, `Bearer ${token}`);
  if (!signed) {
    if (isLoopback(baseUrl)) return withHeader(baseUrl, null);
    throw refusal("FHIR_TOKEN: is not set, and neither are FHIR_CLIENT_ID and FHIR_PRIVATE_KEY");
  }
  if (clientId === undefined) throw refusal("FHIR_CLIENT_ID: is not set, FHIR_PRIVATE_KEY is");
  if (privateKey === undefined) throw refusal("FHIR_PRIVATE_KEY: is not set, FHIR_CLIENT_ID is");
  if (tokenUrl !== null && !isSafe(tokenUrl)) throw refusal("FHIR_TOKEN_URL: expected https");
  const key = await readSigningKey(privateKey);
  if (key === null) {
    throw refusal("FHIR_PRIVATE_KEY: expected a private key, RSA or EC P-384, as PEM or JWK");
  }
  const client = { clientId, key, tokenUrl, scope: config.FHIR_SCOPE };
  return { baseUrl, authorize: createBackendAuthorize(client, { fetch, baseUrl, signal }) };
}

function withHeader(baseUrl: string, header: string | null): Fhir {
  return { baseUrl, authorize: () => Promise.resolve({ kind: "authorized", header }) };
}

function refusal(problem: string): Error {
  return new Error(`Cannot start with this environment:\n  ${problem}`);
}
