import * as oauth from "openid-client";
import { z } from "zod";
import { type Authorize, connectionState, parseJson } from "./fhir-client.ts";
import { isLoopback } from "./loopback.ts";
import type { SigningKey } from "./signing-key.ts";

/** SMART App Launch 2, Backend Services: a client that proves itself with a JWT it signs (private_key_jwt). */
export type BackendClient = {
  clientId: string;
  key: SigningKey;
  /** Where tokens are given out; null: as the server's smart-configuration says. */
  tokenUrl: string | null;
  scope: string;
};

type Connection = { fetch: typeof globalThis.fetch; baseUrl: string; signal: AbortSignal };

type Unavailable = { kind: "unavailable"; state: string };

const REQUEST_TIMEOUT_SECONDS = 30;
/** A token is renewed this long before it ends, so that it does not end on the way. */
const RENEW_BEFORE_MS = 30_000;
const LIFETIME_DEFAULT_SECONDS = 60;

/** Gets an access token when one is needed, and keeps it until shortly before it ends. */
export function createBackendAuthorize(client: BackendClient, connection: Connection): Authorize {
  let configuration: oauth.Configuration | undefined;
  let token: { header: string; renewAt: number } | undefined;

  return async ({ renew }) => {
    if (!renew && token !== undefined && performance.now() < token.renewAt) {
      return { kind: "authorized", header: token.header };
    }
    if (configuration === undefined) {
      const found = client.tokenUrl ?? await discoverTokenUrl(connection);
      if (typeof found !== "string") return found;
      configuration = configure(client, found, connection);
    }
    try {
      const { access_token, expires_in = LIFETIME_DEFAULT_SECONDS } = await oauth
        .clientCredentialsGrant(configuration, { scope: client.scope });
      const renewAt = performance.now() + expires_in * 1000 - RENEW_BEFORE_MS;
      token = { header: `Bearer ${access_token}`, renewAt };
      return { kind: "authorized", header: token.header };
    } catch (error) {
      return judgeFailure(error);
    }
  };
}

function configure(
  { clientId, key }: BackendClient,
  tokenUrl: string,
  { fetch, signal }: Connection,
): oauth.Configuration {
  const authentication = oauth.PrivateKeyJwt(key, {
    [oauth.modifyAssertion](header, payload) {
      header.typ = "JWT";
      payload.aud = tokenUrl; // As SMART demands; by itself the library names the issuer
    },
  });
  const server = { issuer: new URL(tokenUrl).origin, token_endpoint: tokenUrl };
  const configuration = new oauth.Configuration(server, clientId, {}, authentication);
  configuration.timeout = REQUEST_TIMEOUT_SECONDS;
  configuration[oauth.customFetch] = (url, { signal: timeout, ...request }) =>
    fetch(url, {
      ...request as RequestInit,
      signal: timeout === undefined ? signal : AbortSignal.any([signal, timeout]),
    });
  if (isLoopback(tokenUrl)) oauth.allowInsecureRequests(configuration);
  return configuration;
}

const SmartConfiguration = z.object({ token_endpoint: z.url({ protocol: /^https?$/ }) });

async function discoverTokenUrl(
  { fetch, baseUrl, signal }: Connection,
): Promise<string | Unavailable> {
  const url = `${baseUrl}/.well-known/smart-configuration`;
  let status: number;
  let text: string;
  try {
    const response = await fetch(url, {
      headers: { accept: "application/json" },
      signal: AbortSignal.any([signal, AbortSignal.timeout(REQUEST_TIMEOUT_SECONDS * 1000)]),
    });
    status = response.status;
    text = await response.text();
  } catch (error) {
    return { kind: "unavailable", state: connectionState(error) };
  }
  if (mayPass(status)) return { kind: "unavailable", state: `HTTP ${status} for ${url}` };
  const { data } = SmartConfiguration.safeParse(parseJson(text));
  if (status === 200 && data !== undefined && isSafe(data.token_endpoint)) {
    return data.token_endpoint;
  }
  throw new Error(
    `Cannot find where access tokens are given out: ${url} (HTTP ${status}) names no https token_endpoint. Set FHIR_TOKEN_URL`,
  );
}

/** Anything but https would show the token to whoever listens. */
export function isSafe(tokenUrl: string): boolean {
  return tokenUrl.startsWith("https:") || isLoopback(tokenUrl);
}

/** A refusal ends the import: asking again with the same key would not help. */
function judgeFailure(error: unknown): Unavailable {
  const { status, code, cause, error: oauthError } = error as {
    status?: number;
    code?: string;
    cause?: { status?: number };
    error?: string;
  };
  const httpStatus = status ?? cause?.status;
  if (typeof httpStatus !== "number") {
    return { kind: "unavailable", state: `no access token (${code ?? connectionState(error)})` };
  }
  if (mayPass(httpStatus)) {
    return { kind: "unavailable", state: `no access token (HTTP ${httpStatus})` };
  }
  const reason = /^[a-z_]{1,40}$/.test(oauthError ?? "") ? `${oauthError}, ` : "";
  throw new Error(
    `Cannot get an access token: the token endpoint refuses (${reason}HTTP ${httpStatus}). Check FHIR_CLIENT_ID, FHIR_PRIVATE_KEY and FHIR_SCOPE`,
  );
}

function mayPass(status: number): boolean {
  return status === 429 || status >= 500;
}
