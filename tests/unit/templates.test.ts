import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { loadClinics } from "../../src/shared/runtime/clinics.ts";
import {
  loadTemplates,
  type RenderedEmail,
  type RenderedSms,
  type RenderInput,
} from "../../src/shared/templates/templates.ts";
import { writeTemplates } from "../support/templates.ts";

const SHIPPED = new URL("../../gitops/base/config", import.meta.url).pathname;
const NOW = new Date("2026-09-01T12:00:00Z");
const LOCALES = ["cy", "de", "en", "es", "fr"];

const templates = await loadTemplates(SHIPPED);
const clinics = [...(await loadClinics(SHIPPED)).values()];

function input(changes: Partial<RenderInput> = {}): RenderInput {
  return {
    template: "appointment-confirmation",
    channel: "email",
    clinic: { name: "Oak Clinic", phone: "+442079460958", country: "GB", locales: ["en"] },
    locale: "en",
    name: "Sam Taylor",
    data: {},
    appointment: { startsAt: new Date("2026-12-03T09:30:00Z"), timeZone: "Europe/London" },
    now: NOW,
    ...changes,
  };
}

function renderEmail(changes: Partial<RenderInput> = {}): RenderedEmail {
  const rendered = templates.render(input({ ...changes, channel: "email" }));
  return rendered.channel === "email" ? rendered : assert.fail("not an email");
}

function renderSms(changes: Partial<RenderInput> = {}): RenderedSms {
  const rendered = templates.render(input({ ...changes, channel: "sms" }));
  return rendered.channel === "sms" ? rendered : assert.fail("not a text message");
}

/** A clinic in Britain that writes in one language. */
function clinicOf(locale: string): RenderInput["clinic"] {
  return { name: "Oak Clinic", phone: "+442079460958", country: "GB", locales: [locale] };
}

describe("the templates of the repository", () => {
  test("are four, in five languages, for both channels", () => {
    assert.deepEqual(
      templates.ids.map((id) => templates.get(id)).map((template) => [
        ...[template?.id, template?.appointment, template?.channels.join(" ")],
        ...[template?.locales.join(" "), JSON.stringify(template?.data)],
      ]),
      [
        ["appointment-cancelled", "cancelled", "email sms", LOCALES.join(" "), "{}"],
        [
          ...["appointment-confirmation", "booked", "email sms", LOCALES.join(" ")],
          '{"practitioner":"optional"}',
        ],
        ["appointment-reminder", "booked", "email sms", LOCALES.join(" "), "{}"],
        ["appointment-rescheduled", "booked", "email sms", LOCALES.join(" "), "{}"],
      ],
    );
  });

  test("cover every language of every clinic", () => {
    for (const { locales } of clinics) {
      for (const locale of locales) assert.ok(LOCALES.includes(locale), locale);
    }
  });

  const dates: Record<string, string> = {
    en: "Thursday 3 December",
    es: "jueves, 3 de diciembre",
    fr: "jeudi 3 décembre",
    de: "Donnerstag, 3. Dezember",
    cy: "dydd Iau 3 Rhagfyr",
  };
  for (const template of templates.ids) {
    for (const [locale, date] of Object.entries(dates)) {
      const changes = { template, locale, clinic: clinicOf(locale) };

      test(`${template} in ${locale} says all in an email, and little in its subject`, () => {
        const { subject, text, html, ...rest } = renderEmail(changes);
        assert.deepEqual(rest, { channel: "email", locale });
        for (const part of [text, html]) {
          for (const said of ["Sam", "Oak Clinic", date, "9:30", "+44 20 7946 0958"]) {
            assert.ok(part.includes(said), `${said} in ${part}`);
          }
        }
        assert.ok(subject.includes("Oak Clinic"), subject);
        assert.doesNotMatch(subject, /Sam|Taylor|9:30|\d|\n/);
        assert.doesNotMatch(text + html, /Taylor|\{\{|\{%|undefined|null|\n\n\n/);
        assert.doesNotMatch(text, /<|&/);
        assert.ok(html.startsWith(`<!doctype html>\n<html lang="${locale}"`), html);
        assert.ok(html.includes('<a href="tel:+442079460958">'), html);
        assert.doesNotMatch(html, /<img|<link|<script|https?:/);
      });

      test(`${template} in ${locale} says all in one part of a text message`, () => {
        const { text, ...rest } = renderSms(changes);
        assert.deepEqual(rest, { channel: "sms", locale, encoding: "GSM-7", segments: 1 });
        for (const said of ["Sam", "Oak Clinic", date, "9:30", "+44 20 7946 0958"]) {
          assert.ok(text.includes(said), `${said} in ${text}`);
        }
        assert.doesNotMatch(text, /Taylor|\{\{|\{%|undefined|null|STOP|\n/);
      });

      test(`${template} in ${locale} greets a patient without a name`, () => {
        for (const text of [renderEmail({ ...changes, name: null }).text, smsWithoutName()]) {
          assert.match(text, /^(Hello|Hi|Hola|Bonjour|Guten Tag|Helo)[,:]/);
        }
        function smsWithoutName(): string {
          return renderSms({ ...changes, name: " " }).text;
        }
      });
    }
  }

  test("a text message of each clinic has at most two parts on the longest date", () => {
    for (const clinic of clinics) {
      for (const locale of clinic.locales) {
        for (const template of templates.ids) {
          const startsAt = new Date("2026-09-30T14:30:00Z"); // Wednesday, 30 September
          const appointment = { startsAt, timeZone: clinic.timeZone };
          const sms = renderSms({ clinic, locale, template, appointment, name: "Robert" });
          assert.ok(sms.segments <= 2, sms.text);
          if (sms.encoding === "UCS-2") assert.match(clinic.name, /[íā]/);
          else if (clinic.country !== "US") assert.equal(sms.segments, 1, sms.text);
        }
      }
    }
  });

  test("tell patients in the United States, and only there, how to opt out", () => {
    for (const locale of LOCALES) {
      const clinic = { ...clinicOf(locale), country: "US" };
      for (const template of templates.ids) {
        assert.match(renderSms({ template, clinic, locale }).text, /STOP/);
        assert.doesNotMatch(renderEmail({ template, clinic, locale }).text, /STOP/);
      }
    }
  });

  test("name the practitioner in the email of a confirmation, and only when told", () => {
    const data = { practitioner: "Dr Ruiz" };
    for (const locale of LOCALES) {
      const changes = { locale, clinic: clinicOf(locale) };
      const { text, html } = renderEmail({ ...changes, data });
      assert.match(text, /\n[^\n]+: Dr Ruiz\n/);
      assert.match(html, /: <strong>Dr Ruiz<\/strong>/);
      assert.doesNotMatch(renderSms({ ...changes, data }).text, /Ruiz/);
      assert.equal(renderEmail(changes).text, text.replace(/\n[^\n]+: Dr Ruiz/, ""));
    }
  });
});

describe("render() and the day the clocks change", () => {
  const rows = [
    ["Europe/London", "2026-03-29T08:00:00Z", "Sunday 29 March", "09:00"],
    ["Europe/London", "2026-10-25T09:00:00Z", "Sunday 25 October", "09:00"],
    ["America/New_York", "2026-03-08T13:00:00Z", "Sunday 8 March", "09:00"],
    ["America/New_York", "2026-11-01T14:00:00Z", "Sunday 1 November", "09:00"],
    ["Pacific/Auckland", "2026-04-04T21:00:00Z", "Sunday 5 April", "09:00"],
    ["Pacific/Auckland", "2026-09-26T20:00:00Z", "Sunday 27 September", "09:00"],
  ] as const;
  for (const [timeZone, startsAt, date, time] of rows) {
    test(`tells ${startsAt} in ${timeZone} as ${date} at ${time}`, () => {
      const appointment = { startsAt: new Date(startsAt), timeZone };
      const { text, html } = renderEmail({ appointment });
      assert.ok(text.includes(`Date: ${date}\nTime: ${time}\n`), text);
      assert.ok(html.includes(`<strong>${date}</strong>`) && html.includes(`${time}</strong>`));
      assert.ok(renderSms({ appointment }).text.includes(`at ${time} on ${date}.`));
    });
  }

  test("names the zone when the patient's clock shows another time", () => {
    const appointment = { startsAt: new Date("2026-07-01T08:30:00Z"), timeZone: "Europe/London" };
    const changes = { appointment, patientZone: "Europe/Madrid" };
    assert.match(renderEmail(changes).text, /Time: 09:30 \(British Summer Time\)\n/);
    assert.match(renderSms(changes).text, /at 09:30 \(British Summer Time\) on/);
    for (const patientZone of [null, undefined, "Europe/London"]) {
      assert.match(renderEmail({ appointment, patientZone }).text, /Time: 09:30\n/);
    }
  });
});

describe("render() and locales", () => {
  const rows: [string | null, [string, ...string[]], string][] = [
    ["cy-GB", ["en", "cy"], "cy"],
    ["fr", ["de-AT", "en"], "fr"],
    ["pl", ["pl", "es"], "es"],
    [null, ["de", "en"], "de"],
  ];
  for (const [locale, locales, written] of rows) {
    test(`writes to a reader of ${locale} in ${written} for a clinic of ${locales}`, () => {
      const clinic = { ...clinicOf("en"), locales };
      assert.equal(renderSms({ locale, clinic }).locale, written);
      assert.equal(renderEmail({ locale, clinic }).locale, written);
    });
  }

  test("prefers the text of the exact locale", async () => {
    const texts = await loadTexts({ "t/en/sms.txt.liquid": "any", "t/en-GB/sms.txt.liquid": "UK" });
    const render = (locale: string) => texts.render(smsInput({ locale }));
    assert.deepEqual([render("en-GB").locale, render("en-GB").text], ["en-GB", "UK"]);
    assert.deepEqual([render("en-NZ").locale, render("en-NZ").text], ["en", "any"]);
  });
});

describe("render() and what patients and clients wrote", () => {
  test("escapes HTML, and only in HTML", () => {
    const practitioner = `<script>alert("x")</script> & 'Co'`;
    const { text, html } = renderEmail({ name: "<b>Sam</b>", data: { practitioner } });
    assert.ok(text.includes("Hello <b>Sam</b>,") && text.includes(practitioner), text);
    assert.ok(html.includes("Hello &lt;b&gt;Sam&lt;/b&gt;,"), html);
    assert.ok(
      html.includes("&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt; &amp; &#39;Co&#39;"),
      html,
    );
  });

  test("escapes a clinic's name in the title", () => {
    const clinic = { ...clinicOf("en"), name: `Oak & "Ash" </title>` };
    const { subject, html } = renderEmail({ clinic });
    assert.equal(subject, `Your appointment with Oak & "Ash" </title> is booked`);
    assert.ok(html.includes("with Oak &#38; &#34;Ash&#34; &#60;/title&#62; is"), html);
  });

  test("never reads data as Liquid", () => {
    const practitioner = "{{ clinic }}{% if clinic %}yes{% endif %}{% include 'x' %}";
    const { text, html } = renderEmail({ name: "{{clinic}}", data: { practitioner } });
    assert.ok(text.includes("Hello {{clinic}},") && text.includes(practitioner), text);
    assert.ok(html.includes("Hello {{clinic}},"), html);
  });

  test("cleans what a client wrote, and greets by first name", () => {
    const { text } = renderEmail({ name: "Sam\nTaylor", data: { practitioner: "Dr\r\nRuiz" } });
    assert.ok(text.startsWith("Hello Sam,") && text.includes("With: Dr Ruiz\n"), text);
  });

  test("keeps typography in email and simplifies it in text messages", () => {
    const clinic = { ...clinicOf("en"), name: "St Mary’s – “Oak”" };
    assert.ok(renderEmail({ clinic }).text.includes("St Mary’s – “Oak”"));
    const sms = renderSms({ clinic });
    assert.ok(sms.text.includes(`St Mary's - "Oak"`), sms.text);
    assert.equal(sms.encoding, "GSM-7");
  });

  for (const name of ["Łukasz", "François", "Siân", "Zoë"]) {
    test(`leaves the name ${name} as it is, and counts what it costs`, () => {
      const sms = renderSms({ name });
      assert.ok(sms.text.includes(name));
      assert.deepEqual([sms.encoding, sms.segments], ["UCS-2", 2]);
    });
  }
});

describe("render()", () => {
  test("refuses a template, a channel and an appointment there is not", async () => {
    assert.throws(() => renderSms({ template: "nope" }), /^Error: Cannot find the template "nope"/);
    assert.throws(() => renderSms({ appointment: null }), /^Error: Cannot render .*appointment/);
    const texts = await loadTexts({ "t/en/sms.txt.liquid": "Hi" });
    const input = { ...smsInput(), channel: "email" as const };
    assert.throws(() => texts.render(input), /^Error: Cannot render "t": it has no text for email/);
  });

  test("needs no appointment where the template takes any", async () => {
    const source = "{% if appointment.date %}{{ appointment.weekday }}{% else %}none{% endif %}";
    const texts = await loadTexts({ "t/en/sms.txt.liquid": source });
    assert.equal(texts.render(smsInput({ appointment: null })).text, "none");
    assert.equal(texts.render(smsInput()).text, "Thursday");
  });
});

describe("checkData()", () => {
  test("checks a request's data against its template", () => {
    assert.deepEqual(templates.checkData("appointment-reminder", { practitioner: "x" }), [{
      pointer: "/data/practitioner",
      message: "is not a field of the template appointment-reminder",
    }]);
    assert.deepEqual(templates.checkData("appointment-confirmation", { practitioner: "x" }), []);
  });
});

/** Loads files of a template t, which takes any appointment. */
async function loadTexts(files: Record<string, string>) {
  const directory = await writeTemplates({ "t/template.yaml": "appointment: any", ...files });
  return await loadTemplates(directory);
}

function smsInput(changes: Partial<RenderInput> = {}): RenderInput {
  return input({ template: "t", channel: "sms", ...changes });
}
