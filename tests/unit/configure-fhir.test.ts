import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { configureFhir, fhirConfig } from "../../src/etl/configure-fhir.ts";

function configure(environment: Record<string, string>) {
  const { signal } = new AbortController();
  return configureFhir(
    fhirConfig.parse({ FHIR_BASE_URL: "https://fhir.example/r4/", ...environment }),
    { fetch, signal },
  );
}

describe("configureFhir()", () => {
  test("takes a fixed token", async () => {
    const { baseUrl, authorize } = await configure({ FHIR_TOKEN: "abc" });
    assert.equal(baseUrl, "https://fhir.example/r4");
    assert.deepEqual(await authorize({ renew: true }), {
      kind: "authorized",
      header: "Bearer abc",
    });
  });

  for (const host of ["localhost", "127.0.0.1", "[::1]"]) {
    test(`needs no credentials for ${host}`, async () => {
      const { authorize } = await configure({ FHIR_BASE_URL: `http://${host}:8025/fhir` });
      assert.deepEqual(await authorize({ renew: false }), { kind: "authorized", header: null });
    });
  }

  for (
    const [what, environment, problem] of [
      ["no credentials for another machine", {}, /FHIR_TOKEN: is not set, and neither/],
      ["a machine that only looks like this one", {
        FHIR_BASE_URL: "http://127.0.0.1.example.org",
      }, /FHIR_TOKEN: is not set/],
      [
        "both kinds of credentials",
        { FHIR_TOKEN: "a", FHIR_CLIENT_ID: "b" },
        /FHIR_TOKEN: .*not both/,
      ],
      ["a client without a key", { FHIR_CLIENT_ID: "b" }, /FHIR_PRIVATE_KEY: is not set/],
      ["a key without a client", { FHIR_PRIVATE_KEY: "k" }, /FHIR_CLIENT_ID: is not set/],
      ["a key that is none", { FHIR_CLIENT_ID: "b", FHIR_PRIVATE_KEY: "hidden" }, /as PEM or JWK$/],
      ["an open token endpoint", {
        FHIR_CLIENT_ID: "b",
        FHIR_PRIVATE_KEY: "hidden",
        FHIR_TOKEN_URL: "http://auth.example/token",
      }, /FHIR_TOKEN_URL: expected https$/],
    ] as [string, Record<string, string>, RegExp][]
  ) {
    test(`refuses ${what}, and keeps the value to itself`, async () => {
      await assert.rejects(configure(environment), (error: Error) => {
        assert.match(error.message, /^Cannot start with this environment:\n {2}/);
        assert.match(error.message, problem);
        assert.doesNotMatch(error.message, /hidden/);
        return true;
      });
    });
  }
});
