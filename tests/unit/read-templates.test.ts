import assert from "node:assert/strict";
import { symlink } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { readTemplates } from "../../src/shared/templates/read-templates.ts";
import { writeTemplates } from "../support/templates.ts";

describe("readTemplates()", () => {
  const rows: [string, Record<string, string>, string][] = [
    ["a variable nobody declared", {
      "t/en/sms.txt.liquid": "{{ data.room }}",
    }, "t/en/sms.txt.liquid: uses data.room, expected one of clinic.name, clinic.phone, "],
    ["a misspelt variable in a condition", {
      "t/en/sms.txt.liquid": "{% if appointment.zne %}x{% endif %}",
    }, "t/en/sms.txt.liquid: uses appointment.zne, expected one of "],
    ["a variable reached through another", {
      "t/en/sms.txt.liquid": "{{ clinic[clinic.name] }}",
    }, "t/en/sms.txt.liquid: uses clinic[clinic.name], expected one of "],
    ["an unknown filter", {
      "t/en/sms.txt.liquid": "{{ clinic.name | shout }}",
    }, "t/en/sms.txt.liquid: undefined filter: shout, line:1, col:1"],
    ["a filter that switches escaping off", {
      "t/en/sms.txt.liquid": "{{ clinic.name | raw }}",
    }, "t/en/sms.txt.liquid: undefined filter: raw, line:1, col:1"],
    ["an included file", {
      "t/en/sms.txt.liquid": "{% include '/etc/passwd' %}",
    }, 't/en/sms.txt.liquid: tag "include" not found, line:1, col:1'],
    ["a loop", {
      "t/en/sms.txt.liquid": "{% for i in (1..9) %}x{% endfor %}",
    }, 't/en/sms.txt.liquid: tag "for" not found, line:1, col:1'],
    ["an open brace", {
      "t/en/sms.txt.liquid": "{{ clinic.name }",
    }, 't/en/sms.txt.liquid: output "{{ clinic.name }" not closed, line:1, col:1'],
    ["a subject that names the patient", {
      "t/en/subject.liquid": "{{ patient.name }}",
      "t/en/email.html.liquid": "x",
      "t/en/email.txt.liquid": "x",
    }, "t/en/subject.liquid: uses patient.name, expected one of clinic.name, "],
    ["a missing file of a channel", {
      "t/en/subject.liquid": "x",
      "t/en/email.txt.liquid": "x",
    }, "t/en/email.html.liquid: is missing"],
    ["a locale with fewer files than the others", {
      "t/en/sms.txt.liquid": "x",
      "t/en/subject.liquid": "x",
      "t/en/email.html.liquid": "x",
      "t/en/email.txt.liquid": "x",
      "t/de/subject.liquid": "x",
      "t/de/email.html.liquid": "x",
      "t/de/email.txt.liquid": "x",
    }, "t/de/sms.txt.liquid: is missing"],
    ["a file with another name", {
      "t/en/sms.txt.liquid": "x",
      "t/en/sms.liquid": "x",
    }, "t/en/sms.liquid: is not a file of a template"],
    ["a folder too many", {
      "t/en/sms.txt.liquid": "x",
      "t/en/old/sms.txt.liquid": "x",
    }, "t/en/old: is not a file of a template"],
    ["a folder that is no language", {
      "t/en/sms.txt.liquid": "x",
      "t/en_GB/sms.txt.liquid": "x",
    }, "t/en_GB: is not a BCP 47 language tag such as en or cy-GB"],
    ["a language without dates", {
      "t/en/sms.txt.liquid": "x",
      "t/tlh/sms.txt.liquid": "x",
    }, "t/tlh: is a language this runtime has no dates in"],
    ["no English", { "t/de/sms.txt.liquid": "x" }, "t/en: is missing: the last resort"],
    ["an unknown need", {
      "t/template.yaml": "appointment: maybe",
      "t/en/sms.txt.liquid": "x",
    }, "t/template.yaml: appointment: expected booked, cancelled or any"],
    ["data that is neither required nor optional", {
      "t/template.yaml": "appointment: any\ndata: { room: yes }",
      "t/en/sms.txt.liquid": "x",
    }, "t/template.yaml: data: room: expected required or optional"],
    ["a description that is not YAML", {
      "t/template.yaml": "appointment: [",
      "t/en/sms.txt.liquid": "x",
    }, "t/template.yaml: Flow sequence in block collection must be"],
  ];
  for (const [what, files, problem] of rows) {
    test(`refuses ${what}`, async () => {
      const problems = await problemsOf(readTexts(files));
      assert.equal(problems.length, 1, problems.join("\n"));
      assert.equal(problems[0]?.slice(0, problem.length), problem);
    });
  }

  test("reports every problem of every template at once", async () => {
    const problems = await problemsOf(readFiles({
      "a/en/sms.txt.liquid": "{{ data.room }}{{ name }}",
      "b/template.yaml": "appointment: any",
      "b/en/sms.txt.liquid": "{{ clinic.name | raw }}",
      "README.md": "x",
    }));
    assert.deepEqual(problems.map((problem) => problem.split(", expected")[0]), [
      "README.md/template.yaml: is missing",
      "README.md: is not a file of a template",
      "README.md/en: is missing: the last resort",
      "a/template.yaml: is missing",
      "a/en/sms.txt.liquid: uses data.room",
      "a/en/sms.txt.liquid: uses name",
      "b/en/sms.txt.liquid: undefined filter: raw, line:1, col:1",
    ]);
  });

  test("says which folder cannot be read and what to set", async () => {
    assert.deepEqual(await problemsOf(readTemplates("/nowhere/templates")), [
      "/nowhere/templates: cannot be read: ENOENT. Set CONFIG_DIR to the folder it is in",
    ]);
    const empty = await problemsOf(readFiles({}));
    assert.match(empty.join(), /templates: holds no template$/);
  });

  test("reads a folder as Kubernetes mounts it", async () => {
    const directory = await writeTemplates({
      "..2026/t/template.yaml": "appointment: any",
      "..2026/t/en/sms.txt.liquid": "Hi",
    });
    await symlink("..2026", join(directory, "templates/..data"));
    await symlink("..data/t", join(directory, "templates/t"));
    const [template] = await readTemplates(join(directory, "templates"));
    assert.deepEqual([template?.id, template?.locales], ["t", ["en"]]);
  });
});

async function readFiles(files: Record<string, string>) {
  return await readTemplates(join(await writeTemplates(files), "templates"));
}

/** Reads files of a template t, which takes any appointment unless they say otherwise. */
function readTexts(files: Record<string, string>) {
  return readFiles({ "t/template.yaml": "appointment: any", ...files });
}

/** The problems loading reports, one a line. */
async function problemsOf(loading: Promise<unknown>): Promise<string[]> {
  const error = await loading.then(() => assert.fail("it loaded"), (error: Error) => error);
  const [heading = "", ...problems] = error.message.split("\n  ");
  assert.match(heading, /^Cannot use the templates in .*templates:$/);
  return problems;
}
