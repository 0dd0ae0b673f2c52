import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { cleanLine, firstName } from "../../src/shared/templates/personal-values.ts";

describe("cleanLine()", () => {
  const rows = [
    ["Dr Ruiz\r\nBcc: x@y.example", "Dr Ruiz Bcc: x@y. example"],
    ["Dr\u0000\u0007 Ruiz\u2028!", "Dr Ruiz !"],
    ["Dr \u202EziuR\u202C\u200B", "Dr ziuR"],
    ["see https://evil.example/x", "see evil. example/x"],
    ["hthttp://tp://evil.example", "evil. example"],
    ["Dr.Ruiz", "Dr. Ruiz"],
    ["J.R. Ruiz, 2.5", "J.R. Ruiz, 2.5"],
    ["  Room   4 ", "Room 4"],
    ["Zoe\u0308", "Zoë"],
    ["علی\u200Cرضا", "علی\u200Cرضا"],
    ["François O’Brien-Łukasz", "François O’Brien-Łukasz"],
  ] as const;
  for (const [value, line] of rows) {
    test(`makes ${JSON.stringify(value)} ${JSON.stringify(line)}`, () => {
      assert.equal(cleanLine(value), line);
    });
  }
});

describe("firstName()", () => {
  const rows = [
    ["Ana María Ruiz", "Ana"],
    ["  Jean-Luc  Picard", "Jean-Luc"],
    ["Sam\nTaylor", "Sam"],
    ["J.R. Ewing", "J.R."],
    ["山田", "山田"],
    ["https://evil.example Sam", "evil. example"],
    [null, null],
    [" ", null],
    ["\u200B", null],
    ["x".repeat(40), "x".repeat(40)],
    ["x".repeat(41), null],
  ] as const;
  for (const [name, first] of rows) {
    test(`greets ${JSON.stringify(name)} as ${JSON.stringify(first)}`, () => {
      assert.equal(firstName(name), first);
    });
  }
});
