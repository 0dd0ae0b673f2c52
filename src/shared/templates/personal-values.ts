/** A longer word is no first name, and greets nobody. */
const FIRST_NAME_MAX = 40;

const LINE_BREAKS_AND_CONTROLS = /[\p{Cc}\u2028\u2029]+/gu;
/** They reorder or hide the text around them. The joiners of Persian and of emoji are not among them. */
const INVISIBLE = /[\u200B\u200E\u200F\u202A-\u202E\u2060\u2066-\u2069\uFEFF]/g;

/**
 * A value as it may stand in a message: one line, nothing invisible, and nothing a phone makes a link of.
 *
 * Whoever can book an appointment can choose these values, and the clinic's name stands beside them: a link in
 * them would be theirs with the clinic's word for it.
 */
export function cleanLine(value: string): string {
  return value.normalize("NFC")
    .replace(LINE_BREAKS_AND_CONTROLS, " ")
    .replace(INVISIBLE, "")
    .replace(/[a-z][a-z0-9+.-]*:\/\//gi, "")
    .replace(/(?<=[\p{L}\p{N}])\.(?=\p{L}{2})/gu, ". ") // "evil.example" is a link, "evil. example" is not
    .replace(/\s+/g, " ")
    .trim();
}

/** Patients are greeted by first name only: phones are shared, and lock screens are read by others. */
export function firstName(name: string | null): string | null {
  const [first = ""] = (name ?? "").replace(LINE_BREAKS_AND_CONTROLS, " ").trim().split(/\s+/);
  const cleaned = cleanLine(first);
  return cleaned === "" || [...cleaned].length > FIRST_NAME_MAX ? null : cleaned;
}
