import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { stringify } from "yaml";
import { loadClinics } from "../../src/shared/runtime/clinics.ts";

const SHIPPED = new URL("../../gitops/base/config", import.meta.url).pathname;

/** The least a clinic needs. */
const OAK = {
  id: "oak",
  name: "Oak Street Clinic",
  timeZone: "Europe/London",
  country: "GB",
  locales: ["en"],
  phone: "+442079460958",
  senders: { email: { from: "Oak <post@oak.example>" }, sms: { from: "+447700900123" } },
};

async function load(content: string): Promise<Awaited<ReturnType<typeof loadClinics>>> {
  const directory = await mkdtemp(join(tmpdir(), "clinics-"));
  after(() => rm(directory, { recursive: true }));
  await writeFile(join(directory, "clinics.yaml"), content);
  return await loadClinics(directory);
}

function loadOaks(...changes: Record<string, unknown>[]) {
  return load(stringify({ clinics: changes.map((change) => ({ ...OAK, ...change })) }));
}

/** The problems loading reports, one a line. */
async function problemsOf(loading: Promise<unknown>): Promise<string[]> {
  const error = await loading.then(() => assert.fail("it loaded"), (error: Error) => error);
  const [heading = "", ...problems] = error.message.split("\n  ");
  assert.match(heading, /^Cannot use .*clinics\.yaml:$/);
  return problems;
}

describe("loadClinics()", () => {
  test("reads the clinics of the repository", async () => {
    const clinics = await loadClinics(SHIPPED);
    assert.deepEqual(
      [...clinics.values()].map(({ id, timeZone, locales, fhirLocations, reminders }) => [
        ...[id, timeZone, locales.join(" "), fhirLocations.join(" ")],
        reminders.map(({ before }) => before).join(" "),
      ]),
      [
        ["oak", "Europe/London", "en cy", "oak-main", "P7D P1D PT2H"],
        ["ruiz", "Europe/Madrid", "es en", "ruiz-madrid", "P7D P1D PT2H"],
        ["maple", "America/New_York", "en es fr", "maple-nyc", "P7D P1D PT2H"],
        ["rata", "Pacific/Auckland", "en", "rata-auckland", "P7D P1D PT2H"],
        ["lindenhof", "Europe/Berlin", "de fr en", "lindenhof-berlin", "P7D P1D PT2H"],
      ],
    );
  });

  test("fills in what is left out", async () => {
    const clinics = await loadOaks({ reminders: [{ before: "P1D", channels: ["sms"] }] });
    assert.deepEqual(clinics.get("oak"), {
      ...OAK,
      fhirLocations: [],
      quietHours: null,
      reminders: [{ before: "P1D", channels: ["sms"], strategy: "all" }],
      expiresBefore: "PT15M",
      maxDataAge: "PT6H",
      retentionDays: 7,
      unclearEmail: "repeat",
    });
  });

  for (
    const change of [
      { timeZone: "America/Argentina/Buenos_Aires" },
      { timeZone: "UTC" },
      { locales: ["cy-GB", "zh-Hant"] },
      { name: "Rātā Medical" },
      { senders: { email: { from: "post@oak.example" } } },
      { senders: { email: { from: '"Oak, Street" <post@oak.example>', ratePerSecond: 0.5 } } },
      { senders: { sms: { from: "Oak Street" } } },
      { senders: { sms: { from: `MG${"0".repeat(32)}` } } },
      { retentionDays: 3 },
      { retentionDays: 90 },
      { reminders: [{ before: "P1M", at: "00:00", channels: ["sms", "email"] }] },
      { reminders: [{ before: "P1D", channels: ["sms"] }, { before: "PT24H", channels: ["sms"] }] },
    ]
  ) {
    test(`accepts ${JSON.stringify(change)}`, async () => {
      assert.equal((await loadOaks(change)).size, 1);
    });
  }

  const zone = "expected an IANA time zone such as Europe/London";
  const locale = "expected a BCP 47 language tag such as en or cy-GB";
  const phone = 'expected an international number such as "+442079460958"';
  const before = "expected days, such as P7D, or hours and minutes, such as PT2H, up to a year";
  const address = "expected an address such as Oak Clinic <post@oak.example>";
  const sender =
    "expected a number, a name of up to 11 letters, digits and spaces, or a Messaging Service's id";
  const stage = (change: Record<string, unknown>) => ({
    reminders: [{ before: "P1D", channels: ["sms"], ...change }],
  });
  const email = (change: Record<string, unknown>) => ({
    senders: { email: { from: "post@oak.example", ...change } },
  });
  const rows: [Record<string, unknown>, string][] = [
    [{ id: "Oak" }, 'id: expected an id such as oak, not "Oak"'],
    [{ name: "" }, 'name: expected a line of 1 to 60 characters, not ""'],
    [{ name: "Oak\nStreet" }, 'name: expected a line of 1 to 60 characters, not "Oak\\nStreet"'],
    [{ timeZone: "Europe/Lodnon" }, `timeZone: ${zone}, not "Europe/Lodnon"`],
    [{ timeZone: "europe/london" }, `timeZone: ${zone}, not "europe/london"`],
    [{ timeZone: "+01:00" }, `timeZone: ${zone}, not "+01:00"`],
    [{ timeZone: "EST" }, `timeZone: ${zone}, not "EST"`],
    [{ timeZone: undefined }, `timeZone: is missing: ${zone}`],
    [{ country: "UK" }, 'country: expected an ISO 3166 country code such as GB, not "UK"'],
    [{ locales: [] }, `locales[0]: is missing: ${locale}`],
    [{ locales: ["en", "english"] }, `locales[1]: ${locale}, not "english"`],
    [{ locales: ["en_GB"] }, `locales[0]: ${locale}, not "en_GB"`],
    [{ locales: ["en", "en"] }, "locales: expected each language once"],
    [{ phone: "020 7946 0958" }, `phone: ${phone}, not "020 7946 0958"`],
    [{ phone: "+121255501" }, `phone: ${phone}, not "+121255501"`],
    [{ phone: 442079460958 }, `phone: ${phone}, not 442079460958`],
    [
      { fhirLocations: ["a", "a"] },
      'fhirLocations[1]: expected one that differs from clinics[0].fhirLocations[0], not "a"',
    ],
    [email({ from: "Oak" }), `senders.email.from: ${address}, not "Oak"`],
    [email({ from: "a@b.example, c@d.example" }), `senders.email.from: ${address}, not "a@b.exa`],
    [email({ from: "Oak, Ash <a@b.example>" }), `senders.email.from: ${address}, not "Oak, Ash`],
    [email({ ratePerSecond: 0 }), "senders.email.ratePerSecond: expected a number greater than 0"],
    [email({ replyTo: "a@b.example" }), "senders.email.replyTo: is not a known field"],
    [{ senders: { sms: { from: "+12" } } }, `senders.sms.from: ${sender}, not "+12"`],
    [{ senders: { sms: { from: "Oak St. Clinic" } } }, `senders.sms.from: ${sender}, not "Oak St.`],
    [
      { quietHours: { from: "9pm", until: "08:00" } },
      'quietHours.from: expected a time of day such as "09:00", not "9pm"',
    ],
    [
      { quietHours: { from: "21:00", until: "24:00" } },
      'quietHours.until: expected a time of day such as "09:00", not "24:00"',
    ],
    [
      { quietHours: { from: "21:00", until: "21:00" } },
      "quietHours: expected two different times",
    ],
    [stage({ before: "1 day" }), `reminders[0].before: ${before}, not "1 day"`],
    [stage({ before: "P1DT2H" }), `reminders[0].before: ${before}, not "P1DT2H"`],
    [stage({ before: "-P1D" }), `reminders[0].before: ${before}, not "-P1D"`],
    [stage({ before: "PT0M" }), `reminders[0].before: ${before}, not "PT0M"`],
    [stage({ before: "P2Y" }), `reminders[0].before: ${before}, not "P2Y"`],
    [stage({ at: "9:00" }), 'reminders[0].at: expected a time of day such as "09:00", not "9:00"'],
    [
      stage({ before: "PT2H", at: "09:00" }),
      "reminders[0].at: expected no time of day: the reminder is hours before, not days",
    ],
    [stage({ channels: ["fax"] }), 'reminders[0].channels[0]: expected email or sms, not "fax"'],
    [stage({ channels: [] }), "reminders[0].channels: expected at least one channel"],
    [stage({ channels: ["sms", "sms"] }), "reminders[0].channels: expected each channel once"],
    [stage({ strategy: "any" }), 'reminders[0].strategy: expected all or first-success, not "any"'],
    [
      { ...stage({}), ...email({}) },
      "reminders[0].channels: expected clinics[0].senders.sms, for this reminder needs it",
    ],
    [
      { reminders: ["PT60M", "PT60M"].map((before) => ({ before, channels: ["sms"] })) },
      'reminders[1].before: expected one that differs from clinics[0].reminders[0].before, not "PT',
    ],
    [
      { expiresBefore: "P1D" },
      'expiresBefore: expected hours and minutes, such as PT15M, not "P1D"',
    ],
    [{ maxDataAge: 6 }, "maxDataAge: expected hours and minutes, such as PT15M, not 6"],
    [{ retentionDays: 2 }, "retentionDays: expected 3 to 90 days, not 2"],
    [{ retentionDays: 91 }, "retentionDays: expected 3 to 90 days, not 91"],
    [{ retentionDays: 7.5 }, "retentionDays: expected 3 to 90 days, not 7.5"],
    [{ unclearEmail: "drop" }, 'unclearEmail: expected repeat or hold, not "drop"'],
    [{ nmae: "Oak" }, "nmae: is not a known field"],
  ];
  for (const [change, problem] of rows) {
    test(`refuses ${JSON.stringify(change)}`, async () => {
      const problems = await problemsOf(loadOaks(change));
      assert.equal(problems.length, 1, problems.join("\n"));
      const expected = `clinics[0].${problem}`;
      assert.equal(problems[0]?.slice(0, expected.length), expected);
    });
  }

  test("refuses two clinics with one id or one location", async () => {
    assert.deepEqual(
      await problemsOf(loadOaks({ fhirLocations: ["x"] }, { fhirLocations: ["y", "x"] })),
      [
        'clinics[1].id: expected one that differs from clinics[0].id, not "oak"',
        'clinics[1].fhirLocations[1]: expected one that differs from clinics[0].fhirLocations[0], not "x"',
      ],
    );
  });

  test("reports every problem of every clinic at once", async () => {
    const problems = await problemsOf(
      loadOaks(
        { country: "UK", reminders: [{ before: "P1D", channels: ["sms"] }], senders: {} },
        { phone: undefined, surprise: 1 },
      ),
    );
    assert.deepEqual(problems, [
      'clinics[0].country: expected an ISO 3166 country code such as GB, not "UK"',
      `clinics[1].phone: is missing: ${phone}`,
      "clinics[1].surprise: is not a known field",
      "clinics[0].reminders[0].channels: expected clinics[0].senders.sms, for this reminder needs it",
      'clinics[1].id: expected one that differs from clinics[0].id, not "oak"',
    ]);
  });

  for (
    const [content, problem] of [
      ["", /^the file: expected clinics: and a list/],
      ["clinics: []", /^clinics: expected at least one clinic/],
      ["clinics: oak", /^clinics: expected a list of clinics, not "oak"/],
      ["clinics: [null]", /^clinics\[0\]: expected a clinic/],
      ["clinics:\n  - id: oak\n    id: elm\n", /^Map keys must be unique at line 3/],
      ["clinics: [", /at line 1/],
    ] as const
  ) {
    test(`refuses the file ${JSON.stringify(content)}`, async () => {
      const [first = ""] = await problemsOf(load(content));
      assert.match(first, problem);
    });
  }

  test("says which file cannot be read and what to set", async () => {
    await assert.rejects(loadClinics("/nowhere"), {
      message:
        "Cannot use /nowhere/clinics.yaml:\n  cannot be read: ENOENT. Set CONFIG_DIR to the folder that holds it",
    });
  });
});
