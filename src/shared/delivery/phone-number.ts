import { isSupportedCountry, parsePhoneNumberFromString } from "libphonenumber-js/max";

export type PhoneNumber = {
  e164: string;
  /** False for what is known to be a landline, a premium number and the like. */
  readonly textable: boolean;
};

/** Numbers that cannot get a text message, or only at somebody's great cost. */
const NOT_TEXTABLE: ReadonlySet<string | undefined> = new Set([
  "FIXED_LINE",
  "PREMIUM_RATE",
  "TOLL_FREE",
  "SHARED_COST",
  "PERSONAL_NUMBER",
  "PAGER",
  "UAN",
  "VOICEMAIL",
]);

/**
 * Reads a phone number; null when it is none. `country` (ISO 3166-1 alpha-2) is that of a number written without its
 * country code; without it only international numbers are read.
 *
 * Words around the number make it null: "600 111 222, her mother" is not the patient's phone. A number of possible
 * length in a range the metadata does not know counts as a number, for numbering plans change faster than metadata.
 */
export function parsePhoneNumber(text: string, country: string | null): PhoneNumber | null {
  const number = parsePhoneNumberFromString(text.trim(), {
    ...(country !== null && isSupportedCountry(country) ? { defaultCountry: country } : {}),
    extract: false,
  });
  if (number === undefined || !number.isPossible()) return null;
  return {
    e164: number.number,
    // Looked up when asked for: it costs more than all the rest
    get textable() {
      return number.ext === undefined && !NOT_TEXTABLE.has(number.getType());
    },
  };
}
