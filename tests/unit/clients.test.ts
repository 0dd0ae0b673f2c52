import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import {
  chooseClinic,
  type Client,
  findClient,
  parseClients,
} from "../../src/notification-dispatcher/clients.ts";
import { CLIENTS, CLINICS, KEYS } from "../support/dispatcher.ts";

const OPTIONS = { file: "clients.yaml", clinics: CLINICS };
const HASH = "a".repeat(64);
const clients = parseClients(CLIENTS, OPTIONS);

function client(id: string): Client {
  return clients.find((one) => one.id === id) as Client;
}

describe("parseClients()", () => {
  const valid = { id: "desk", clinic: "oak", type: "live", keySha256: [HASH] };

  const wrong: [name: string, entry: Record<string, unknown>, problem: RegExp][] = [
    ["an id with spaces", { ...valid, id: "the desk" }, /clients\.0\.id: expected lower-case/],
    ["an unknown clinic", { ...valid, clinic: "elm" }, /clients\.0\.clinic: "elm" is not among/],
    ["an unknown type", { ...valid, type: "admin" }, /clients\.0\.type: /],
    ["no key", { ...valid, keySha256: [] }, /clients\.0\.keySha256: /],
    ["a key itself", { ...valid, keySha256: ["secret"] }, /clients\.0\.keySha256\.0: expected the/],
    ["an unknown field", { ...valid, scope: "all" }, /scope/],
    [
      "a team without a list",
      { ...valid, type: "team" },
      /clients\.0\.allow: expected for the type/,
    ],
    [
      "a list for others",
      { ...valid, allow: ["a@example.test"] },
      /clients\.0\.allow: expected for/,
    ],
    [
      "a list of names",
      { ...valid, type: "team", allow: ["Ana"] },
      /clients\.0\.allow\.0: expected an email address or a number/,
    ],
  ];
  for (const [name, entry, problem] of wrong) {
    test(`refuses ${name}`, () => {
      assert.throws(() => parseClients({ clients: [entry] }, OPTIONS), (error: Error) => {
        assert.match(error.message, /^Cannot use the clients of "clients\.yaml":\n/);
        assert.match(error.message, problem);
        return true;
      });
    });
  }

  test("reports every problem at once, and no key", () => {
    const entries = [{ ...valid, id: "The Desk" }, { ...valid, keySha256: ["secret"] }];
    assert.throws(() => parseClients({ clients: entries }, OPTIONS), (error: Error) => {
      assert.match(error.message, /clients\.0\.id/);
      assert.match(error.message, /clients\.1\.keySha256/);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    });
  });

  test("refuses an id or a key that is used twice", () => {
    assert.throws(
      () => parseClients({ clients: [valid, valid] }, OPTIONS),
      /clients\.1\.id: "desk" is used twice\n {2}clients\.1\.keySha256: a key is used twice/,
    );
  });
});

describe("findClient()", () => {
  test("knows a client by any of its keys", () => {
    assert.equal(findClient(clients, `Bearer ${KEYS.oak}`)?.id, "oak-desk");
    assert.equal(findClient(clients, `bearer  ${KEYS.oakNext}`)?.id, "oak-desk");
    assert.equal(findClient(clients, `Bearer ${KEYS.all}`)?.id, "reminders");
  });

  const unknown: [name: string, header: string | undefined][] = [
    ["no header", undefined],
    ["an unknown key", "Bearer another"],
    ["another scheme", `Basic ${KEYS.oak}`],
    ["a key with more behind it", `Bearer ${KEYS.oak} x`],
    ["no key", "Bearer "],
    ["a key's hash", `Bearer ${createHash("sha256").update(KEYS.oak).digest("hex")}`],
    ["a key of a megabyte", `Bearer ${"x".repeat(1_000_000)}`],
  ];
  for (const [name, header] of unknown) {
    test(`knows nobody by ${name}`, () => assert.equal(findClient(clients, header), null));
  }
});

describe("chooseClinic()", () => {
  test("takes the client's own clinic, named or not", () => {
    for (const wanted of [undefined, "oak"]) {
      const choice = chooseClinic(client("oak-desk"), wanted, CLINICS);
      assert.equal(choice.kind === "chosen" && choice.clinic.id, "oak");
    }
  });

  test("refuses another clinic, known or not", () => {
    for (const wanted of ["ruiz", "elm"]) {
      const choice = chooseClinic(client("oak-desk"), wanted, CLINICS);
      assert.deepEqual(choice, { kind: "refused", refusal: { code: "clinic_not_allowed" } });
    }
  });

  test("lets a client for every clinic choose, and makes it choose", () => {
    const choice = chooseClinic(client("reminders"), "ruiz", CLINICS);
    assert.equal(choice.kind === "chosen" && choice.clinic.id, "ruiz");
    for (const [wanted, code] of [[undefined, "required"], ["elm", "unknown_clinic"]] as const) {
      const refused = chooseClinic(client("reminders"), wanted, CLINICS);
      assert.equal(refused.kind === "refused" && refused.refusal.errors?.[0]?.code, code);
    }
  });
});
