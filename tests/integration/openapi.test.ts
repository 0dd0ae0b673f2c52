import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { OPERATIONS, SCHEMAS } from "../../src/notification-dispatcher/api-operations.ts";
import { PROBLEMS } from "../../src/notification-dispatcher/problem.ts";
import { createTestDispatcher, PUBLIC_URL } from "../support/dispatcher.ts";

const { routes, get } = await createTestDispatcher();
const { body: document } = await get("/openapi.json", { key: "none" });

describe("GET /openapi.json", () => {
  test("describes every route of the Dispatcher, and no other", () => {
    const served = new Set(
      routes.routes.filter(({ method }) => method !== "ALL")
        .map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, "{$1}")}`),
    );
    const described = Object.entries<Record<string, unknown>>(document.paths)
      .flatMap(([path, methods]) =>
        Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`)
      );
    assert.deepEqual(described.sort(), [...served].sort());
  });

  test("is OpenAPI 3.1 with the public address and the way to authenticate", () => {
    assert.equal(document.openapi, "3.1.0");
    assert.deepEqual(document.servers, [{ url: PUBLIC_URL }]);
    assert.deepEqual(document.paths["/v1/notifications"].post.security, [{ key: [] }]);
    assert.equal(document.components.securitySchemes.key.scheme, "bearer");
  });

  test("points only to schemas it has", () => {
    const references = JSON.stringify(document).matchAll(
      /"\$ref":"#\/components\/schemas\/(\w+)"/g,
    );
    const names = [...references].map(([, name = ""]) => name);
    assert.ok(names.includes("NotificationRequest"));
    for (const name of names) assert.ok(name in document.components.schemas, name);
  });

  test("gives examples that the schemas accept", () => {
    const examples = OPERATIONS.flatMap(({ request, path, method }) => {
      const example = document.paths[path][method].requestBody?.content["application/json"].example;
      return request === undefined || example === undefined ? [] : [[request.schema, example]];
    });
    assert.ok(examples.length >= 3);
    for (const [name, example] of examples) {
      const { error } = SCHEMAS[name as keyof typeof SCHEMAS].safeParse(example);
      assert.equal(error, undefined, name);
    }
  });

  test("refuses unknown fields, as the routes do", () => {
    const { NotificationRequest } = document.components.schemas;
    assert.equal(NotificationRequest.additionalProperties, false);
    assert.equal(NotificationRequest.properties.recipient.additionalProperties, false);
    assert.deepEqual(NotificationRequest.required, [
      "reference",
      "template",
      "recipient",
      "channels",
    ]);
  });

  test("lists each problem where it can be met", () => {
    const { responses } = document.paths["/v1/notifications"].post;
    assert.deepEqual(Object.keys(responses), [
      "202",
      "400",
      "401",
      "403",
      "413",
      "415",
      "422",
      "429",
      "500",
      "503",
    ]);
    assert.match(responses[422].description, /reference_reused.*idempotency_key_reused/);
  });
});

describe("GET /docs", () => {
  test("is one page for people, that loads and runs nothing", async () => {
    const { status, text, headers } = await get("/docs", { key: "none" });
    assert.equal(status, 200);
    assert.match(headers.get("content-type") ?? "", /^text\/html/);
    assert.match(
      headers.get("content-security-policy") ?? "",
      /^default-src 'none'; style-src 'sha256-/,
    );
    assert.doesNotMatch(text, /<script|https?:\/\/|\ssrc=|\sstyle=|\son\w+=/);
    for (const { path } of OPERATIONS) {
      assert.ok(text.includes(`<code>GET ${path}`) || text.includes(`<code>POST ${path}`));
    }
  });

  test("has a place for each problem, where its type points to", async () => {
    const { text } = await get("/docs");
    for (const code of Object.keys(PROBLEMS)) assert.ok(text.includes(`id="${code}"`), code);
  });
});
