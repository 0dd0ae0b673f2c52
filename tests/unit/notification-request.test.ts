import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  hashCanonically,
  NotificationRequest,
  salvage,
} from "../../src/notification-dispatcher/notification-request.ts";
import { checkInput } from "../../src/notification-dispatcher/problem.ts";
import { createRequest, inHours } from "../support/dispatcher.ts";

const EXAMPLE = {
  reference: "booking-8821:confirmation",
  template: "appointment-confirmation",
  recipient: {
    patientId: "p-9",
    name: "Ana",
    email: "ana@example.org",
    phone: "+34600111222",
    locale: "es-ES",
    timeZone: "Europe/Madrid",
  },
  channels: ["sms", "email"],
  strategy: "all",
  data: { practitioner: "Dr Ruiz" },
  appointment: {
    id: "a-12345",
    version: "3",
    startsAt: "2026-12-03T09:30:00Z",
    timeZone: "Europe/Madrid",
  },
  sendAt: "2026-12-02T09:30:00Z",
  expiresAt: "2026-12-03T09:15:00Z",
};

/** The faults of a request, each as "pointer code". */
function faultsOf(request: unknown): string[] {
  const checked = checkInput(NotificationRequest, request);
  if (checked.kind === "valid") return [];
  return checked.errors.map(({ pointer, code }) => `${pointer} ${code}`).sort();
}

describe("NotificationRequest", () => {
  test("takes the example of the API", () => assert.deepEqual(faultsOf(EXAMPLE), []));

  const { recipient, appointment } = EXAMPLE;
  const wrong: [name: string, fields: Record<string, unknown>, fault: string][] = [
    ["an unknown field", { extra: 1 }, "/extra unknown_field"],
    ["no reference", { reference: undefined }, "/reference required"],
    ["an empty reference", { reference: "" }, "/reference invalid_format"],
    ["a reference of 256", { reference: "x".repeat(256) }, "/reference too_big"],
    ["a reference on two lines", { reference: "a\r\nb" }, "/reference invalid_format"],
    ["a number as template", { template: 5 }, "/template invalid_type"],
    ["no recipient", { recipient: undefined }, "/recipient required"],
    [
      "a recipient's unknown field",
      { recipient: { ...recipient, age: 9 } },
      "/recipient/age unknown_field",
    ],
    [
      "a name with a line break",
      { recipient: { ...recipient, name: "A\nB" } },
      "/recipient/name invalid_format",
    ],
    [
      "a name with a NUL",
      { recipient: { ...recipient, name: "A\0" } },
      "/recipient/name invalid_format",
    ],
    [
      "half a surrogate pair",
      { recipient: { ...recipient, name: "\ud83d" } },
      "/recipient/name invalid_format",
    ],
    [
      "a name of 201",
      { recipient: { ...recipient, name: "x".repeat(201) } },
      "/recipient/name too_big",
    ],
    [
      "an address without a domain",
      { recipient: { ...recipient, email: "ana" } },
      "/recipient/email invalid_format",
    ],
    [
      "an address with a header",
      { recipient: { ...recipient, email: "a@b.example\r\nBcc: c@d.example" } },
      "/recipient/email invalid_format",
    ],
    [
      "a phone as number",
      { recipient: { ...recipient, phone: 34600111222 } },
      "/recipient/phone invalid_type",
    ],
    [
      "a locale of words",
      { recipient: { ...recipient, locale: "Spanish (Spain)" } },
      "/recipient/locale invalid_value",
    ],
    ["no channel", { channels: [] }, "/channels too_small"],
    ["an unknown channel", { channels: ["fax"] }, "/channels/0 invalid_value"],
    ["an unknown strategy", { strategy: "any" }, "/strategy invalid_value"],
    ["data with null", { data: { practitioner: null } }, "/data/practitioner invalid_type"],
    [
      "data within data",
      { data: { practitioner: { name: "x" } } },
      "/data/practitioner invalid_type",
    ],
    ["data on two lines", { data: { practitioner: "a\nb" } }, "/data/practitioner invalid_format"],
    ["a name of data that is none", { data: { "a b": "x" } }, "/data/a b unknown_field"],
    [
      "no start",
      { appointment: { ...appointment, startsAt: undefined } },
      "/appointment/startsAt required",
    ],
    [
      "a start without offset",
      { appointment: { ...appointment, startsAt: "2026-12-03T09:30:00" } },
      "/appointment/startsAt invalid_format",
    ],
    ["a day that does not exist", { sendAt: "2026-02-30T09:30:00Z" }, "/sendAt invalid_format"],
    ["a time as number", { expiresAt: 1_796_000_000 }, "/expiresAt invalid_type"],
    ["a duration in years", { maxDataAge: "P1Y" }, "/maxDataAge invalid_format"],
    ["an empty duration", { maxDataAge: "PT" }, "/maxDataAge invalid_format"],
  ];
  for (const [name, fields, fault] of wrong) {
    test(`refuses ${name}`, () => assert.deepEqual(faultsOf({ ...EXAMPLE, ...fields }), [fault]));
  }

  for (const value of [null, [], "text", 5, undefined]) {
    test(`refuses ${JSON.stringify(value)} as request`, () => {
      assert.equal(faultsOf(value).length, 1);
    });
  }

  test("names every fault at once, and quotes no value", () => {
    const request = {
      ...EXAMPLE,
      secret: "s3cret",
      recipient: { ...recipient, email: "s3cret", locale: "s3cret-locale-no" },
      channels: ["s3cret"],
    };
    const checked = checkInput(NotificationRequest, request);
    assert.ok(checked.kind === "invalid");
    assert.deepEqual(checked.errors.map(({ pointer }) => pointer).sort(), [
      "/channels/0",
      "/recipient/email",
      "/recipient/locale",
      "/secret",
    ]);
    assert.doesNotMatch(JSON.stringify(checked.errors.map(({ message }) => message)), /s3cret/);
  });

  test("is not fooled by names that objects have of their own", () => {
    const hostile = JSON.parse('{"__proto__": {"template": "x"}, "constructor": 1}');
    assert.ok(faultsOf({ ...EXAMPLE, ...hostile }).includes("/constructor unknown_field"));
    assert.equal(salvage(hostile).template, undefined);
  });
});

describe("salvage()", () => {
  test("keeps what is valid by itself", () => {
    const parts = salvage({ ...createRequest(), extra: 1, channels: ["fax"], strategy: "all" });
    assert.equal(parts.template, "visit");
    assert.equal(parts.channels, undefined);
    assert.equal("extra" in parts, false);
  });

  test("keeps the valid fields of a recipient that is not", () => {
    const recipient = { email: "nobody", phone: "+34600111222", extra: 1 };
    assert.deepEqual(salvage({ recipient }).recipient, { phone: "+34600111222" });
  });
});

describe("hashCanonically()", () => {
  const request = NotificationRequest.parse(EXAMPLE);

  test("does not depend on the order of keys, the spelling of a time or a default said aloud", () => {
    const { strategy: _, ...rest } = EXAMPLE;
    const entries = Object.entries({ ...rest, sendAt: "2026-12-02T10:30:00.000+01:00" }).reverse();
    const other = NotificationRequest.parse(Object.fromEntries(entries));
    assert.equal(hashCanonically(other), hashCanonically(request));
  });

  const changes: Record<string, unknown>[] = [
    { template: "another" },
    { channels: ["email", "sms"] },
    { data: {} },
    { data: { practitioner: "Dr Ruiz", room: 5 } },
    { sendAt: inHours(1) },
    { recipient: { ...EXAMPLE.recipient, name: undefined } },
  ];
  for (const change of changes) {
    test(`depends on ${Object.keys(change)}: ${JSON.stringify(change)}`, () => {
      const other = NotificationRequest.parse({ ...EXAMPLE, ...change });
      assert.notEqual(hashCanonically(other), hashCanonically(request));
    });
  }
});
