export type SmsEncoding = "GSM-7" | "UCS-2";

export type SmsSize = {
  encoding: SmsEncoding;
  /** What the encoding counts: septets in GSM-7, UTF-16 units in UCS-2. */
  characters: number;
  /** Parts the text is sent, and billed, in. */
  segments: number;
};

// 3GPP TS 23.038 §6.2.1: the default alphabet, and the extension table, whose characters cost an escape each
const GSM_DEFAULT = new Set(
  "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?" +
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà",
);
const GSM_EXTENSION = new Set("\f^{}\\[~]|€");

// A part of a split text gives up 6 bytes to the header that joins the parts
const CAPACITY: Record<SmsEncoding, { single: number; part: number }> = {
  "GSM-7": { single: 160, part: 153 },
  "UCS-2": { single: 70, part: 67 },
};

/** Counts a text as the carrier does: neither an escape pair nor a surrogate pair is split across two parts. */
export function countSegments(text: string): SmsSize {
  const letters = [...text];
  const encoding = letters.every((letter) => GSM_DEFAULT.has(letter) || GSM_EXTENSION.has(letter))
    ? "GSM-7"
    : "UCS-2";
  const costs = letters.map((letter) =>
    encoding === "UCS-2" ? letter.length : GSM_EXTENSION.has(letter) ? 2 : 1
  );
  const characters = costs.reduce((sum, cost) => sum + cost, 0);
  const { single, part } = CAPACITY[encoding];
  return { encoding, characters, segments: characters <= single ? 1 : countParts(costs, part) };
}

function countParts(costs: readonly number[], capacity: number): number {
  let parts = 1;
  let used = 0;
  for (const cost of costs) {
    if (used + cost > capacity) {
      parts += 1;
      used = 0;
    }
    used += cost;
  }
  return parts;
}

const TYPOGRAPHY: readonly [RegExp, string][] = [
  [/[\u2018-\u201B\u2032]/g, "'"],
  [/[\u201C-\u201F\u2033«»]/g, '"'],
  [/[\u2010-\u2015\u2212]/g, "-"],
  [/\u2026/g, "..."],
  [/[\t\u00A0\u2000-\u200A\u202F\u205F\u3000]/g, " "],
  [/[\u00AD\u200B\u2060\uFEFF]/g, ""],
];

/**
 * Replaces typographic characters, each of which would turn a text of 160 characters a part into one of 70.
 *
 * Letters stay as they are, whatever they cost: a patient's name is not ours to respell.
 */
export function normaliseTypography(text: string): string {
  return TYPOGRAPHY.reduce(
    (result, [from, to]) => result.replace(from, to),
    text.normalize("NFC"),
  );
}
