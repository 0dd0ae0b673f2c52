import type { Clinic } from "../domain/clinic.ts";

/** Every template is written in it, so there is always a text to send. */
export const LAST_RESORT = "en";

/** Whether it is a BCP 47 language tag in its usual spelling, of a language and not of "english". */
export function isLocale(text: string): boolean {
  try {
    return new Intl.Locale(text).toString() === text && /^[a-z]{2,3}(-|$)/.test(text);
  } catch {
    return false; // Not well formed
  }
}

/**
 * The locale a message is written in: the patient's (cy-GB), its language (cy), the clinic's in their order, at last English.
 *
 * `dates` adds the region: English is read with British dates in Britain and with American ones in America.
 */
export function chooseLocales(
  { wanted, clinic, available }: {
    wanted: string | null;
    clinic: Pick<Clinic, "locales" | "country">;
    available: ReadonlySet<string> | ReadonlyMap<string, unknown>;
  },
): { written: string; dates: string } {
  const patients = canonical(wanted);
  const chain = [patients, ...clinic.locales].flatMap(withParents);
  const written = chain.find((locale) => available.has(locale)) ?? LAST_RESORT;

  const base = new Intl.Locale(languageOf(patients) === languageOf(written) ? patients : written);
  const dates = base.region === undefined
    ? new Intl.Locale(base, { region: clinic.country })
    : base;
  return { written, dates: dates.toString() };
}

export function languageOf(locale: string): string {
  return locale.split("-", 1)[0] ?? locale;
}

/** Of no language when the text is no language tag, such as a patient record's "English (UK)". */
function canonical(locale: string | null): string {
  try {
    return new Intl.Locale(locale ?? "und").toString();
  } catch {
    return "und";
  }
}

/** zh-Hant-TW, zh-Hant, zh (RFC 4647 §3.4). */
function withParents(locale: string): string[] {
  const parts = locale.split("-");
  return parts.map((_, index) => parts.slice(0, parts.length - index).join("-"));
}
