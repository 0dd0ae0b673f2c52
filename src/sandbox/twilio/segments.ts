/** GSM 03.38: the letters of a text message that need seven bits, and those that need an escape before them. */
const GSM_BASIC = new Set(
  "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà",
);
const GSM_EXTENSION = new Set("\f^{}\\[~]|€");

const GSM = { single: 160, part: 153 };
const UCS2 = { single: 70, part: 67 };

/**
 * How many parts a text is sent in: the carrier's own count, so that a wrong forecast of the services shows.
 *
 * A letter that takes two units is never cut in two, so a part may stay a unit short.
 */
export function countSegments(text: string): number {
  const units: number[] = [];
  let limits = GSM;
  for (const letter of text) {
    if (GSM_BASIC.has(letter)) units.push(1);
    else if (GSM_EXTENSION.has(letter)) units.push(2);
    else {
      limits = UCS2;
      break;
    }
  }
  if (limits === UCS2) {
    units.length = 0;
    for (const letter of text) units.push(letter.length);
  }
  const total = units.reduce((sum, unit) => sum + unit, 0);
  if (total <= limits.single) return 1;

  let parts = 1;
  let used = 0;
  for (const unit of units) {
    if (used + unit > limits.part) {
      parts++;
      used = 0;
    }
    used += unit;
  }
  return parts;
}
