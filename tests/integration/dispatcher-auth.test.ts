import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Hono } from "hono";
import { createAdmission } from "../../src/notification-dispatcher/admission.ts";
import { ProblemDetails } from "../../src/notification-dispatcher/answers.ts";
import {
  type Client,
  type ClientEnv,
  loadClients,
} from "../../src/notification-dispatcher/clients.ts";
import { createErrorHandler } from "../../src/notification-dispatcher/problem.ts";
import { createLog } from "../../src/shared/runtime/log.ts";
import {
  CLINICS,
  createRequest,
  createTestDispatcher,
  KEYS,
  TEAM_EMAIL,
  TEAM_PHONE,
} from "../support/dispatcher.ts";
import { insertPatient, readDelivery } from "../support/ledger.ts";

const { sql, get, post, ready, routes, lines } = await createTestDispatcher();

describe("A request without a valid key", () => {
  for (const path of ["/v1/notifications", "/v1/anything"]) {
    test(`is refused at ${path}`, async () => {
      const answer = await post(path, createRequest(), { key: "wrong" });
      assert.equal(answer.status, 401);
      assert.match(answer.headers.get("www-authenticate") ?? "", /^Bearer/);
      assert.equal(ProblemDetails.parse(answer.body).code, "unauthorized");
    });
  }

  test("is answered without reading its body", async () => {
    let read = false;
    const body = new ReadableStream({
      pull: (controller) => {
        read = true;
        controller.close();
      },
    }, { highWaterMark: 0 });
    const init = { method: "POST", body, duplex: "half" } as RequestInit;
    assert.equal((await routes.request("/v1/notifications", init)).status, 401);
    assert.equal(read, false);
  });
});

describe("A client of one clinic", () => {
  test("may name its own, and no other", async () => {
    const own = await post("/v1/notifications", createRequest({ clinic: "oak" }));
    assert.equal(own.status, 202);
    const other = await post("/v1/notifications", createRequest({ clinic: "ruiz" }));
    assert.deepEqual([other.status, other.body.code], [403, "clinic_not_allowed"]);
  });
});

describe("A client for every clinic", () => {
  test("says which, each time", async () => {
    const { body } = await post("/v1/notifications", createRequest({ clinic: "ruiz" }), {
      key: KEYS.all,
    });
    assert.equal((await readDelivery(sql, body.deliveries[0].id)).senderId, "ruiz:sms");
    for (const clinic of [undefined, "elm"]) {
      const answer = await post("/v1/notifications", createRequest({ clinic }), { key: KEYS.all });
      assert.equal(answer.status, 400);
      assert.equal(answer.body.errors[0].pointer, "/clinic");
    }
  });
});

describe("A team client", () => {
  const submit = (fields: Record<string, unknown>) =>
    post("/v1/notifications", createRequest(fields), { key: KEYS.oakTeam });

  test("reaches the recipients on its list, however they are written", async () => {
    const { status, body } = await submit({
      channels: ["sms", "email"],
      recipient: { email: TEAM_EMAIL.toUpperCase(), phone: TEAM_PHONE.replace("+44", "0") },
    });
    assert.equal(status, 202);
    const [row] = await sql`select mode from delivery.notification where id = ${body.id}`;
    assert.equal(row?.mode, "team");
  });

  test("reaches nobody else", async () => {
    const { status, body } = await submit({
      channels: ["sms", "email"],
      recipient: { email: TEAM_EMAIL, phone: "+34600111222" },
    });
    assert.deepEqual([status, body.code], [403, "recipient_not_allowed"]);
    assert.deepEqual(body.errors.map((error: { pointer: string }) => error.pointer), [
      "/recipient/phone",
    ]);
  });

  test("reaches no patient by their record, even one with a listed number", async () => {
    const { id: patientId } = await insertPatient(sql, { phone: TEAM_PHONE });
    const { status, body } = await submit({ recipient: { patientId } });
    assert.deepEqual([status, body.code], [403, "recipient_not_allowed"]);
  });

  test("gets a result for each of a batch", async () => {
    const notifications = [
      createRequest({ recipient: { phone: TEAM_PHONE } }),
      createRequest(),
    ];
    const { body } = await post("/v1/notifications/batch", { notifications }, {
      key: KEYS.oakTeam,
    });
    assert.deepEqual(body.results.map(({ status }: { status: number }) => status), [202, 403]);
  });
});

describe("A test client", () => {
  test("uses the senders that reach nobody", async () => {
    const { status, body } = await post("/v1/notifications", createRequest(), {
      key: KEYS.oakTest,
    });
    assert.equal(status, 202);
    assert.equal((await readDelivery(sql, body.deliveries[0].id)).senderId, "test:sms");
    const [row] = await sql`select mode from delivery.notification where id = ${body.id}`;
    assert.equal(row?.mode, "test");
  });
});

describe("Every answer", () => {
  test("carries the request's id, or a new one", async () => {
    const given = await post("/v1/notifications", {}, { headers: { "x-request-id": "call-7" } });
    assert.equal(given.headers.get("x-request-id"), "call-7");
    assert.equal(given.body.requestId, "call-7");
    const odd = await post("/v1/notifications", {}, { headers: { "x-request-id": "<b>" } });
    assert.match(odd.body.requestId, /^[0-9a-f-]{36}$/);
  });

  test("keeps browsers and caches from doing anything with it", async () => {
    for (const { headers } of [await get("/v1/notifications"), await get("/none")]) {
      assert.equal(headers.get("x-content-type-options"), "nosniff");
      assert.equal(headers.get("cache-control"), "no-store");
      assert.match(headers.get("content-security-policy") ?? "", /^default-src 'none'/);
    }
  });

  test("is a problem for an unknown path or method", async () => {
    const unknown = await get("/none");
    assert.deepEqual([unknown.status, unknown.body.code], [404, "not_found"]);
    const method = await routes.request("/v1/notifications", {
      method: "DELETE",
      headers: { authorization: `Bearer ${KEYS.oak}` },
    });
    assert.equal(method.status, 405);
    assert.equal(method.headers.get("allow"), "POST, GET, HEAD");
    assert.equal(ProblemDetails.parse(await method.json()).code, "method_not_allowed");
  });

  test("is the same when the routes are part of another app", async () => {
    const outer = new Hono().route("/", routes);
    const unknown = await outer.request("/none");
    assert.equal(unknown.status, 404);
    assert.equal(ProblemDetails.parse(await unknown.json()).code, "not_found");
    const method = await outer.request("/docs", { method: "PUT" });
    assert.equal(method.status, 405);
  });
});

describe("createAdmission()", () => {
  function createApp(limits: { total: number; perClient: number }) {
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const app = new Hono<ClientEnv>();
    app.use(async (c, next) => {
      c.set("client", { id: c.req.header("x-client") } as Client);
      await next();
    });
    app.use(createAdmission(limits));
    app.get("/", async (c) => {
      await released;
      return c.text("done");
    });
    app.get("/fails", () => Promise.reject(new Error("no")));
    app.onError((_, c) => c.text("failed", 500));
    const call = (client: string, path = "/") =>
      app.request(path, { headers: { "x-client": client } });
    return { call, release };
  }

  test("answers 429 to a client with its share under way, while others go on", async () => {
    const { call, release } = createApp({ total: 10, perClient: 2 });
    const mine = [call("a"), call("a")];
    const refused = await call("a");
    assert.equal(refused.status, 429);
    assert.equal(refused.headers.get("retry-after"), "1");
    const other = call("b");
    release();
    assert.deepEqual((await Promise.all([...mine, other])).map(({ status }) => status), [
      200,
      200,
      200,
    ]);
    assert.equal((await call("a")).status, 200);
  });

  test("answers 503 when everything is taken", async () => {
    const { call, release } = createApp({ total: 2, perClient: 2 });
    const taken = [call("a"), call("b")];
    const refused = await call("c");
    assert.equal(refused.status, 503);
    assert.match(refused.headers.get("retry-after") ?? "", /^[1-5]$/);
    release();
    await Promise.all(taken);
    assert.equal((await call("c")).status, 200);
  });

  test("gives a place back after a failure", async () => {
    const { call, release } = createApp({ total: 1, perClient: 1 });
    release();
    assert.equal((await call("a", "/fails")).status, 500);
    assert.equal((await call("a")).status, 200);
  });
});

describe("createErrorHandler()", () => {
  const cases: [code: string | undefined, status: number][] = [
    ["CONNECTION_CLOSED", 503],
    ["CONNECT_TIMEOUT", 503],
    ["ECONNREFUSED", 503],
    ["57P01", 503],
    ["53300", 503],
    ["25006", 503],
    ["40P01", 503],
    ["57014", 503],
    ["23505", 500],
    ["22P02", 500],
    [undefined, 500],
  ];
  for (const [code, status] of cases) {
    test(`answers ${status} to ${code ?? "an error without code"}, and keeps its text to itself`, async () => {
      const written: string[] = [];
      const log = createLog("test", { level: "debug", write: (line) => void written.push(line) });
      const app = new Hono().get("/", () => {
        throw Object.assign(new Error("value ana@example.test"), { code });
      });
      app.onError(createErrorHandler(log));
      const response = await app.request("/");
      assert.equal(response.status, status);
      assert.equal(response.headers.has("retry-after"), status === 503);
      assert.doesNotMatch(await response.text(), /ana@/);
      assert.equal(written.length, 1);
      assert.doesNotMatch(written.join(), /ana@/);
    });
  }
});

describe("ready()", () => {
  test("resolves while the database can be written", async () => {
    await ready();
    assert.deepEqual(lines.filter((line) => line.includes('"error"')), []);
  });
});

describe("loadClients()", () => {
  test("says what is wrong with the file", async () => {
    const directory = await mkdtemp(join(tmpdir(), "carillon-clients-"));
    try {
      const file = join(directory, "clients.yaml");
      await assert.rejects(
        loadClients(file, CLINICS),
        /^Error: Cannot read the clients: .*ENOENT.*CLIENTS_FILE/,
      );
      await writeFile(file, "clients: [");
      await assert.rejects(
        loadClients(file, CLINICS),
        /^Error: Cannot use the clients of .*\n.* line 1/,
      );
      await writeFile(file, "clients: []");
      await assert.rejects(
        loadClients(file, CLINICS),
        /^Error: Cannot use the clients of .*\n.*clients/,
      );
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
