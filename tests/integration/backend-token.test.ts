import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync, type KeyObject, verify } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, beforeEach, describe, test } from "node:test";
import { configureFhir, fhirConfig } from "../../src/etl/configure-fhir.ts";

/** A SMART server: its configuration, and a token endpoint that checks the client's signature. */
type SmartServer = {
  baseUrl: string;
  tokenUrl: string;
  publicKey: KeyObject;
  expiresIn: number;
  /** The status of the next answers of the token endpoint; 200 when there is none left. */
  failures: number[];
  assertions: { header: Record<string, unknown>; payload: Record<string, unknown> }[];
};

async function startSmartServer(): Promise<SmartServer> {
  const http = createServer(async (request, response) => {
    if (request.url === "/fhir/.well-known/smart-configuration") {
      response.end(JSON.stringify({ token_endpoint: server.tokenUrl }));
      return;
    }
    if (request.method !== "POST") {
      response.writeHead(404).end();
      return;
    }
    const form = new URLSearchParams(Buffer.concat(await request.toArray()).toString());
    const status = server.failures.shift() ?? judge(form);
    const body = status === 200
      ? {
        access_token: `token-${server.assertions.length}`,
        token_type: "bearer",
        expires_in: server.expiresIn,
      }
      : { error: "invalid_client", error_description: "secret details" };
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  after(() => {
    http.closeAllConnections();
    return new Promise((closed) => http.close(closed));
  });
  const { port } = http.address() as AddressInfo;
  const server: SmartServer = {
    baseUrl: `http://127.0.0.1:${port}/fhir`,
    tokenUrl: `http://127.0.0.1:${port}/token`,
    publicKey: createPublicKey(RSA.publicPem),
    expiresIn: 300,
    failures: [],
    assertions: [],
  };

  function judge(form: URLSearchParams): number {
    const [header = "", payload = "", signature = ""] = (form.get("client_assertion") ?? "").split(
      ".",
    );
    const assertion = { header: decode(header), payload: decode(payload) };
    const { alg, typ } = assertion.header;
    const { iss, sub, aud, exp, jti } = assertion.payload;
    const now = Date.now() / 1000;
    const accepted = form.get("grant_type") === "client_credentials" &&
      form.get("client_assertion_type") ===
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" &&
      form.get("scope") === "system/*.rs" &&
      verify(
        "sha384",
        Buffer.from(`${header}.${payload}`),
        { key: server.publicKey, dsaEncoding: "ieee-p1363" },
        Buffer.from(signature, "base64url"),
      ) &&
      ["RS384", "ES384"].includes(String(alg)) && typ === "JWT" &&
      iss === "carillon" && sub === "carillon" && aud === server.tokenUrl &&
      typeof jti === "string" && typeof exp === "number" && exp > now && exp <= now + 300;
    if (!accepted) return 400;
    server.assertions.push(assertion);
    return 200;
  }
  return server;
}

function decode(part: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(part, "base64url").toString());
}

const RSA = generatePair("rsa");
const EC = generatePair("ec");

function generatePair(kind: "rsa" | "ec"): { publicPem: string; privateKey: KeyObject } {
  const { publicKey, privateKey } = kind === "rsa"
    ? generateKeyPairSync("rsa", { modulusLength: 2048 })
    : generateKeyPairSync("ec", { namedCurve: "P-384" });
  return { publicPem: String(publicKey.export({ type: "spki", format: "pem" })), privateKey };
}

function pemOf({ privateKey }: { privateKey: KeyObject }): string {
  return String(privateKey.export({ type: "pkcs8", format: "pem" }));
}

const server = await startSmartServer();

beforeEach(() => {
  server.publicKey = createPublicKey(RSA.publicPem);
  server.expiresIn = 300;
  server.failures = [];
  server.assertions = [];
});

function configure(changes: Record<string, string | undefined> = {}) {
  const environment = {
    FHIR_BASE_URL: `${server.baseUrl}/`,
    FHIR_CLIENT_ID: "carillon",
    FHIR_PRIVATE_KEY: pemOf(RSA),
    ...changes,
  };
  const { signal } = new AbortController();
  return configureFhir(fhirConfig.parse(environment), { fetch, signal });
}

describe("SMART Backend Services", () => {
  test("finds the token endpoint, signs, and keeps the token", async () => {
    const { authorize } = await configure();
    const token = { kind: "authorized", header: "Bearer token-1" };
    assert.deepEqual(await authorize({ renew: false }), token);
    assert.deepEqual(await authorize({ renew: false }), token);
    assert.equal(server.assertions[0]?.header.alg, "RS384");
  });

  test("gets another token on demand, with a new assertion", async () => {
    const { authorize } = await configure();
    await authorize({ renew: false });
    assert.deepEqual(await authorize({ renew: true }), {
      kind: "authorized",
      header: "Bearer token-2",
    });
    const [first, second] = server.assertions;
    assert.notEqual(first?.payload.jti, second?.payload.jti);
  });

  test("does not use a token that is about to end", async () => {
    server.expiresIn = 20;
    const { authorize } = await configure({ FHIR_TOKEN_URL: server.tokenUrl });
    await authorize({ renew: false });
    const { kind } = await authorize({ renew: false });
    assert.deepEqual([kind, server.assertions.length], ["authorized", 2]);
  });

  test("takes a P-384 key as JWK, with its own kid", async () => {
    server.publicKey = createPublicKey(EC.publicPem);
    const jwk = { ...EC.privateKey.export({ format: "jwk" }), kid: "2026-a", alg: "ES384" };
    const { authorize } = await configure({ FHIR_PRIVATE_KEY: JSON.stringify(jwk) });
    assert.equal((await authorize({ renew: false })).kind, "authorized");
    const { alg, kid } = server.assertions[0]?.header ?? {};
    assert.deepEqual({ alg, kid }, { alg: "ES384", kid: "2026-a" });
  });

  test("names a PEM key by its thumbprint", async () => {
    const { authorize } = await configure();
    await authorize({ renew: false });
    assert.match(String(server.assertions[0]?.header.kid), /^[\w-]{43}$/);
  });

  test("stops when the server refuses the client, without its details", async () => {
    server.publicKey = createPublicKey(EC.publicPem);
    const { authorize } = await configure();
    await assert.rejects(authorize({ renew: false }), {
      message:
        "Cannot get an access token: the token endpoint refuses (invalid_client, HTTP 400). " +
        "Check FHIR_CLIENT_ID, FHIR_PRIVATE_KEY and FHIR_SCOPE",
    });
  });

  test("can be asked again when the token endpoint is unavailable", async () => {
    server.failures = [503];
    const { authorize } = await configure();
    assert.deepEqual(await authorize({ renew: false }), {
      kind: "unavailable",
      state: "no access token (HTTP 503)",
    });
    assert.equal((await authorize({ renew: false })).kind, "authorized");
  });

  test("says which setting is missing when the server has no token endpoint", async () => {
    const { authorize } = await configure({ FHIR_BASE_URL: `${server.baseUrl}/nothing` });
    await assert.rejects(authorize({ renew: false }), /^Error: Cannot find .* Set FHIR_TOKEN_URL$/);
  });
});
