import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { chooseLocales } from "../../src/shared/templates/locales.ts";

const AVAILABLE = new Set(["en", "en-AU", "es", "fr", "de", "cy"]);

describe("chooseLocales()", () => {
  const written: [string | null, [string, ...string[]], string][] = [
    ["cy", ["en", "cy"], "cy"],
    ["cy-GB", ["en", "cy"], "cy"],
    ["cy-gb", ["en", "cy-GB"], "cy"],
    ["en-AU", ["en"], "en-AU"],
    ["en-NZ", ["en"], "en"],
    ["es-419", ["en", "es"], "es"],
    ["fr", ["en", "cy"], "fr"],
    ["fr", ["de-AT", "en"], "fr"],
    ["pl", ["es", "en"], "es"],
    ["pl", ["pl", "es"], "es"], // There is no Polish text
    ["de", ["mi"], "de"],
    ["mi", ["mi"], "en"],
    [null, ["de", "en"], "de"],
    ["English (UK)", ["de", "en"], "de"],
    ["", ["de", "en"], "de"],
  ];
  for (const [wanted, locales, expected] of written) {
    test(`writes in ${expected} to a reader of ${wanted}, for a clinic of ${locales}`, () => {
      const clinic = { locales, country: "GB" };
      assert.equal(chooseLocales({ wanted, clinic, available: AVAILABLE }).written, expected);
    });
  }

  const dates = [
    ["en", "GB", "en-GB"],
    ["en", "US", "en-US"],
    ["en-US", "GB", "en-US"],
    ["es-419", "US", "es-419"],
    ["fr", "GB", "fr-GB"],
    ["pl", "GB", "en-GB"],
    [null, "NZ", "en-NZ"],
  ] as const;
  for (const [wanted, country, expected] of dates) {
    test(`writes dates as in ${expected} to a reader of ${wanted}, for a clinic in ${country}`, () => {
      const clinic = { locales: ["en", "es"] as [string, ...string[]], country };
      assert.equal(chooseLocales({ wanted, clinic, available: AVAILABLE }).dates, expected);
    });
  }
});
