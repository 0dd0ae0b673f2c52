import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type ContactPoint, contactsInOrder } from "../../src/shared/domain/contact.ts";

const NOW = new Date("2026-11-20T09:00:00Z");

function point(value: string, changes: Partial<ContactPoint> = {}): ContactPoint {
  return { system: "phone", value, use: null, rank: null, from: null, until: null, ...changes };
}

function texts(...points: ContactPoint[]): string[] {
  return contactsInOrder(points, { channel: "sms", now: NOW });
}

describe("contactsInOrder()", () => {
  test("takes phones and text numbers for sms, addresses for email", () => {
    const points = [
      point("1"),
      point("a@b.example", { system: "email" }),
      point("2", { system: "sms" }),
      point("3", { system: "fax" }),
      point("4", { system: "pager" }),
    ];
    assert.deepEqual(contactsInOrder(points, { channel: "sms", now: NOW }), ["2", "1"]);
    assert.deepEqual(contactsInOrder(points, { channel: "email", now: NOW }), ["a@b.example"]);
  });

  test("prefers a mobile phone for sms, even to a better rank elsewhere", () => {
    const home = point("home", { use: "home", rank: 1 });
    const work = point("work", { use: "work", rank: 2 });
    const mobile = point("mobile", { use: "mobile", rank: 3 });
    assert.deepEqual(texts(home, work, mobile), ["mobile", "home", "work"]);
  });

  test("orders by rank, then by use, then as given", () => {
    const mobile = (value: string, rank: number | null) => point(value, { use: "mobile", rank });
    assert.deepEqual(texts(mobile("none", null), mobile("two", 2), mobile("one", 1)), [
      "one",
      "two",
      "none",
    ]);
    assert.deepEqual(texts(point("work", { use: "work" }), point("home", { use: "home" })), [
      "home",
      "work",
    ]);
    assert.deepEqual(texts(point("first"), point("second")), ["first", "second"]);
  });

  test("goes by rank for email, and to work last", () => {
    const email = (value: string, changes: Partial<ContactPoint>) =>
      point(value, { system: "email", ...changes });
    const points = [
      email("work", { use: "work" }),
      email("home", { use: "home" }),
      email("second", { use: "home", rank: 2 }),
      email("first", { use: "work", rank: 1 }),
    ];
    assert.deepEqual(contactsInOrder(points, { channel: "email", now: NOW }), [
      "first",
      "second",
      "home",
      "work",
    ]);
  });

  test("never takes an old one", () => {
    assert.deepEqual(texts(point("old", { use: "old", rank: 1 }), point("new")), ["new"]);
  });

  test("takes only what is in its period now", () => {
    const [before, after] = [new Date(NOW.getTime() - 1), new Date(NOW.getTime() + 1)];
    assert.deepEqual(
      texts(
        point("ended", { until: NOW }),
        point("not yet", { from: after }),
        point("begun", { from: NOW }),
        point("within", { from: before, until: after }),
      ),
      ["begun", "within"],
    );
  });
});
