import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parsePhoneNumber } from "../../src/shared/delivery/phone-number.ts";

describe("parsePhoneNumber()", () => {
  for (
    const [text, country, e164] of [
      ["600 111 222", "ES", "+34600111222"],
      ["07911 123456", "GB", "+447911123456"],
      ["06 12 34 56 78", "FR", "+33612345678"],
      ["(0151) 2345-6789", "DE", "+4915123456789"],
      [" +34 600 11 12 22 ", "GB", "+34600111222"],
      ["+34600111222", null, "+34600111222"],
      ["0034 600 111 222", "GB", "+34600111222"],
      ["(202) 555-0123", "US", "+12025550123"],
      ["+447700900123", null, "+447700900123"], // Kept for fiction: of possible length, in no known range
    ] as const
  ) {
    test(`reads ${text} in ${country} as a number that can be texted`, () => {
      assert.deepEqual(parsePhoneNumber(text, country), { e164, textable: true });
    });
  }

  for (
    const [what, text, country] of [
      ["a landline", "020 7946 0123", "GB"],
      ["a free number", "0800 123456", "GB"],
      ["a personal number", "070 1234 5678", "GB"],
      ["a premium number", "+34 803 123 456", null],
      ["an extension", "07911 123456 ext. 5", "GB"],
    ] as const
  ) {
    test(`knows that ${what} cannot be texted`, () => {
      assert.equal(parsePhoneNumber(text, country)?.textable, false);
    });
  }

  for (
    const [what, text, country] of [
      ["words", "none", "GB"],
      ["words around a number", "600 111 222 (her mother)", "ES"],
      ["two numbers", "600 111 222 / 600 333 444", "ES"],
      ["an emergency number", "999", "GB"],
      ["too many digits", "+34 600 111 222 333 444", "ES"],
      ["a national number of no country", "600 111 222", null],
      ["a national number of an unknown country", "600 111 222", "XX"],
      ["nothing", "", "ES"],
      ["a very long text", "6".repeat(10_000), "ES"],
    ] as const
  ) {
    test(`refuses ${what}`, () => assert.equal(parsePhoneNumber(text, country), null));
  }
});
