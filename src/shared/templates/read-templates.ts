import { readdir, readFile, stat } from "node:fs/promises";
import { parseDocument } from "yaml";
import { z } from "zod";
import { type AppointmentNeed, type Channel, CHANNELS } from "../domain/delivery.ts";
import { canWriteDates } from "./appointment-time.ts";
import { compile, type Compiled } from "./liquid.ts";
import { isLocale, LAST_RESORT } from "./locales.ts";

export type Template = {
  id: string;
  appointment: AppointmentNeed;
  /** What a request's `data` must or may hold. */
  data: Readonly<Record<string, "required" | "optional">>;
  channels: Channel[];
  locales: string[];
};

/** A template with its texts: by locale, then by file. */
export type LoadedTemplate = Template & { texts: ReadonlyMap<string, Texts> };
export type Texts = ReadonlyMap<string, Compiled>;

/** The files a channel needs in each locale's folder. */
const CHANNEL_FILES: Record<Channel, readonly string[]> = {
  email: ["subject.liquid", "email.html.liquid", "email.txt.liquid"],
  sms: ["sms.txt.liquid"],
};
const DESCRIPTION = "template.yaml";

/** templates/<template>/<locale>/<file> */
const DEPTH_MAX = 3;

const CLINIC_VARIABLES = ["clinic.name", "clinic.phone", "clinic.tel", "clinic.country"];
const VARIABLES = [
  ...CLINIC_VARIABLES,
  "patient.name",
  ...["weekday", "date", "time", "zone"].map((name) => `appointment.${name}`),
];

const Description = z.strictObject({
  appointment: z.enum(["booked", "cancelled", "any"], "expected booked, cancelled or any"),
  data: z.record(
    z.string().regex(/^[a-z][a-zA-Z0-9_]{0,39}$/),
    z.enum(["required", "optional"], "expected required or optional"),
    "expected names, such as practitioner, each required or optional",
  ).default({}),
}, "expected appointment: and data:");

type Problem = (path: string, message: string) => void;

/** Reads and checks every template in a folder. Throws one error that names every problem. */
export async function readTemplates(directory: string): Promise<LoadedTemplate[]> {
  const problems: string[] = [];
  const problem: Problem = (path, message) => problems.push(`${path}: ${message}`);

  const files = await readFiles(directory, DEPTH_MAX).catch((error: NodeJS.ErrnoException) => {
    problem(directory, `cannot be read: ${error.code}. Set CONFIG_DIR to the folder it is in`);
    return [];
  });
  const templates = [...Map.groupBy(files, ({ path }) => path.split("/")[0] ?? "")]
    .map(([id, ofTemplate]) => compileTemplate(id, ofTemplate, problem));
  if (files.length === 0 && problems.length === 0) problem(directory, "holds no template");
  if (problems.length === 0) return templates;
  throw new Error(`Cannot use the templates in ${directory}:\n  ${problems.join("\n  ")}`);
}

type File = { path: string; text: string };

/** All files below a folder. Follows links, for Kubernetes mounts each file as one, beside hidden originals. */
async function readFiles(directory: string, depth: number, prefix = ""): Promise<File[]> {
  const names = (await readdir(directory)).filter((name) => !name.startsWith(".")).sort();
  const found = await Promise.all(names.map(async (name) => {
    const file = `${directory}/${name}`;
    const path = `${prefix}${name}`;
    if (!(await stat(file)).isDirectory()) return [{ path, text: await readFile(file, "utf8") }];
    return depth > 1 ? await readFiles(file, depth - 1, `${path}/`) : [{ path, text: "" }];
  }));
  return found.flat();
}

function compileTemplate(id: string, files: readonly File[], problem: Problem): LoadedTemplate {
  const description = parseDescription(id, files, problem);
  const known = [...VARIABLES, ...Object.keys(description.data).map((name) => `data.${name}`)];
  const texts = new Map<string, Map<string, Compiled>>();
  for (const { path, text } of files) {
    if (path === `${id}/${DESCRIPTION}`) continue;
    const [, locale = "", file = "", ...deeper] = path.split("/");
    if (deeper.length > 0 || !Object.values(CHANNEL_FILES).flat().includes(file)) {
      problem(path, "is not a file of a template");
      continue;
    }
    if (!texts.has(locale)) texts.set(locale, new Map());
    const allowed = file === "subject.liquid" ? CLINIC_VARIABLES : known;
    texts.get(locale)?.set(file, compileText({ path, text, allowed }, problem));
  }
  const channels = CHANNELS.filter((channel) =>
    [...texts.values()].some((ofLocale) =>
      CHANNEL_FILES[channel].some((name) => ofLocale.has(name))
    )
  );
  for (const [locale, ofLocale] of texts) {
    checkLocale(`${id}/${locale}`, locale, problem);
    for (const file of channels.flatMap((channel) => CHANNEL_FILES[channel])) {
      if (!ofLocale.has(file)) problem(`${id}/${locale}/${file}`, "is missing");
    }
  }
  if (!texts.has(LAST_RESORT)) problem(`${id}/${LAST_RESORT}`, "is missing: the last resort");
  return { id, ...description, channels, locales: [...texts.keys()], texts };
}

function parseDescription(
  id: string,
  files: readonly File[],
  problem: Problem,
): Pick<Template, "appointment" | "data"> {
  const path = `${id}/${DESCRIPTION}`;
  const file = files.find((candidate) => candidate.path === path);
  const document = parseDocument(file?.text ?? "");
  const result = Description.safeParse(document.errors.length === 0 ? document.toJS() : null);
  if (result.success) return result.data;
  if (file === undefined) problem(path, "is missing");
  else if (document.errors[0] !== undefined) problem(path, firstLine(document.errors[0]));
  else {
    for (const issue of result.error.issues) {
      problem(path, [...issue.path, issue.message].join(": "));
    }
  }
  return { appointment: "any", data: {} };
}

function compileText(
  { path, text, allowed }: { path: string; text: string; allowed: readonly string[] },
  problem: Problem,
): Compiled {
  try {
    const compiled = compile(text, { html: path.endsWith(".html.liquid") });
    for (const name of compiled.variables.filter((name) => !allowed.includes(name))) {
      problem(path, `uses ${name}, expected one of ${allowed.join(", ")}`);
    }
    return compiled;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    problem(path, firstLine(error));
    return { render: () => "", variables: [] };
  }
}

function checkLocale(path: string, locale: string, problem: Problem): void {
  if (!isLocale(locale)) problem(path, "is not a BCP 47 language tag such as en or cy-GB");
  else if (!canWriteDates(locale)) problem(path, "is a language this runtime has no dates in");
}

function firstLine(error: Error): string {
  return error.message.split("\n")[0] ?? "";
}
