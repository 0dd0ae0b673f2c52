import assert from "node:assert/strict";
import { test } from "node:test";
import { formatTextArray, parseTextArray } from "../../src/shared/database/text-arrays.ts";

test("parseTextArray() reads what formatTextArray() writes", () => {
  const texts = ["", "a", "null", 'a "quoted" \\ one', "a, {b}", " ", "two\nlines", null, "ø"];
  assert.deepEqual(parseTextArray(formatTextArray(texts)), texts);
  assert.deepEqual(parseTextArray(formatTextArray([])), []);
});

test("parseTextArray() reads what PostgreSQL writes", () => {
  assert.deepEqual(parseTextArray('{oak:sms,"a b","c\\"d\\\\",NULL,"NULL"}'), [
    "oak:sms",
    "a b",
    'c"d\\',
    null,
    "NULL",
  ]);
});
