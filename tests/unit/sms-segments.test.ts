import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { countSegments, normaliseTypography } from "../../src/shared/domain/sms-segments.ts";

describe("countSegments()", () => {
  const lengths = [
    { letter: "a", encoding: "GSM-7", segments: { 1: 1, 160: 1, 161: 2, 306: 2, 307: 3, 918: 6 } },
    { letter: "ł", encoding: "UCS-2", segments: { 1: 1, 70: 1, 71: 2, 134: 2, 135: 3 } },
  ];
  for (const { letter, encoding, segments } of lengths) {
    for (const [length, expected] of Object.entries(segments)) {
      test(`counts ${length} characters of ${encoding} as ${expected}`, () => {
        assert.deepEqual(countSegments(letter.repeat(Number(length))), {
          encoding,
          characters: Number(length),
          segments: expected,
        });
      });
    }
  }

  const reminders = [
    { name: "Sam", encoding: "GSM-7", segments: 1 },
    { name: "José", encoding: "GSM-7", segments: 1 },
    { name: "Müller", encoding: "GSM-7", segments: 1 },
    { name: "Zoë", encoding: "UCS-2", segments: 3 },
    { name: "Siân", encoding: "UCS-2", segments: 3 },
    { name: "François", encoding: "UCS-2", segments: 3 },
    { name: "Łukasz", encoding: "UCS-2", segments: 3 },
    { name: "Sam", clinic: "St Mary’s", encoding: "UCS-2", segments: 3 },
    { name: "Sam 🙂", encoding: "UCS-2", segments: 3 },
  ];
  for (const { name, clinic = "St Mary's", encoding, segments } of reminders) {
    test(`counts a reminder to ${name} from ${clinic} as ${segments} of ${encoding}`, () => {
      const text = reminderTo(name, clinic);
      const { characters, ...size } = countSegments(text);
      assert.deepEqual(size, { encoding, segments });
      assert.equal(characters, text.length);
    });
  }

  for (const letter of "^{}\\[~]|€\f") {
    test(`counts ${JSON.stringify(letter)} as two`, () => {
      assert.deepEqual(countSegments(`a${letter}`), {
        encoding: "GSM-7",
        characters: 3,
        segments: 1,
      });
    });
  }

  for (const letter of "àèéìòùäöüñåæøßÇÉ@£\n") {
    test(`finds ${JSON.stringify(letter)} in GSM-7`, () => {
      assert.equal(countSegments(letter).encoding, "GSM-7");
    });
  }
  for (const letter of "áíóúëâêîôûçãõłšžāŵŷ’“–…\u00A0\t") {
    test(`does not find ${JSON.stringify(letter)} in GSM-7`, () => {
      assert.equal(countSegments(letter).encoding, "UCS-2");
    });
  }

  test("does not split an escape pair across two parts", () => {
    const euroAcrossTheEnd = `${"a".repeat(152)}€${"a".repeat(152)}`;
    assert.deepEqual(countSegments(euroAcrossTheEnd), {
      encoding: "GSM-7",
      characters: 306,
      segments: 3,
    });
  });

  test("does not split a surrogate pair across two parts", () => {
    const emojiAcrossTheEnd = `${"a".repeat(66)}🙂${"a".repeat(66)}`;
    assert.deepEqual(countSegments(emojiAcrossTheEnd), {
      encoding: "UCS-2",
      characters: 134,
      segments: 3,
    });
  });
});

describe("normaliseTypography()", () => {
  const rows = [
    ["St Mary’s", "St Mary's"],
    ["“Oak”, „Eiche“, «Roble»", '"Oak", "Eiche", "Roble"'],
    ["9–10 — now…", "9-10 - now..."],
    ["9:30\u202Fp.\u00A0m.\tnow", "9:30 p. m. now"],
    ["soft\u00ADhyphen\u200B\uFEFF", "softhyphen"],
    ["Zoe\u0308", "Zoë"],
  ] as const;
  for (const [from, to] of rows) {
    test(`makes ${JSON.stringify(from)} ${JSON.stringify(to)}`, () => {
      assert.equal(normaliseTypography(from), to);
    });
  }

  for (const name of ["Łukasz", "François", "Siân", "Zoë", "Rātā", "Nguyễn", "山田", "Kaʻiulani"]) {
    test(`leaves ${name} as it is`, () => {
      assert.equal(normaliseTypography(name), name);
    });
  }
});

/** 151 characters long when the name is Sam's. */
function reminderTo(name: string, clinic: string): string {
  const text = `Hello ${name}, a reminder of your appointment with ${clinic}`;
  return `${text} on Thursday 3 December at 09:30. To change it, please call us on +44 20 7946 0958.`
    .padEnd(148 + name.length, ".");
}
