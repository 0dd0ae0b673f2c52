import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { dirname, join, normalize } from "node:path/posix";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const SERVICES = [
  "appointment-service",
  "email-worker",
  "etl",
  "notification-dispatcher",
  "scheduler",
  "sms-worker",
];
const SHARED = ["database", "delivery", "domain", "messaging", "runtime", "templates"];
const FILE_LINES_MAX = 300;
const TEST_LINES_MAX = 500;
const MAIN_LINES_MAX = 39;

type Source = {
  /** From the repository's root: src/scheduler/main.ts */
  path: string;
  text: string;
  /** Without comments and the contents of strings, so that words in them are not taken for code. */
  code: string;
  imports: string[];
};

const sources = await readSources("src");
const everything = [...sources, ...await readSources("scripts"), ...await readSources("tests")];

async function readSources(folder: string): Promise<Source[]> {
  const names = await readdir(join(ROOT, folder), { recursive: true });
  const paths = names.filter((name) => name.endsWith(".ts")).map((name) => `${folder}/${name}`);
  return await Promise.all(
    paths.sort().map(async (path) => {
      const text = await readFile(join(ROOT, path), "utf8");
      return { path, text, code: withoutText(text), imports: importsOf(path, text) };
    }),
  );
}

/** Where each import leads: a path from the root for our own files, else the package's name as it is written. */
function importsOf(path: string, text: string): string[] {
  const specifiers = text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*["']([^"']+)["']/g);
  return [...specifiers].map(([, specifier = ""]) =>
    specifier.startsWith(".") ? normalize(join(dirname(path), specifier)) : specifier
  );
}

function withoutText(text: string): string {
  return text.replace(
    /\/\*[^]*?\*\/|\/\/.*|"(?:[^"\\\n]|\\.)*"/g,
    (match) => match.startsWith('"') ? '""' : "",
  );
}

/** src/scheduler/main.ts → scheduler, src/shared/domain/clinic.ts → shared/domain, a package → null */
function partOf(path: string): string | null {
  const [top, first, second] = path.split("/");
  if (top !== "src") return null;
  return first === "shared" ? `shared/${second}` : `${first}`;
}

/** Fails with every file that breaks the rule, not with the first. */
function assertNone(rule: string, offenders: readonly string[]): void {
  assert.deepEqual(offenders, [], rule);
}

function offendersBy(
  files: readonly Source[],
  forbidden: (source: Source, target: string) => boolean,
): string[] {
  return files.flatMap((source) =>
    source.imports.filter((target) => forbidden(source, target))
      .map((target) => `${source.path} imports ${target}`)
  );
}

function isMain(path: string): boolean {
  return path.startsWith("src/") && path.endsWith("/main.ts");
}

describe("the source tree", () => {
  test("is the diagram: six services, local, sandbox and shared", async () => {
    const parts = new Set(sources.map(({ path }) => path.split("/")[1]));
    assert.deepEqual([...parts].sort(), [...SERVICES, "local", "sandbox", "shared"].sort());
    const layers = sources.filter(({ path }) => path.startsWith("src/shared/"));
    assert.deepEqual([...new Set(layers.map(({ path }) => path.split("/")[2]))].sort(), SHARED);
    for (const service of SERVICES) {
      assert.ok(
        sources.some(({ path }) => path === `src/${service}/main.ts`),
        `${service} has a main.ts`,
      );
    }
  });

  test("has names in kebab-case", () => {
    const paths = everything.map(({ path }) => path);
    const kebab = /^([a-z0-9]+(-[a-z0-9]+)*\/)+[a-z0-9]+(-[a-z0-9]+)*(\.test)?\.ts$/;
    assertNone("names are kebab-case", paths.filter((path) => !kebab.test(path)));
  });

  test("has no file named for nothing", () => {
    const vague = /\/(index|utils?|helpers?|types|common|misc)\.ts$/;
    const paths = everything.map(({ path }) => path);
    assertNone("a file is named for what it holds", paths.filter((path) => vague.test(path)));
  });

  test("has short files, and shorter main.ts", () => {
    const long = everything.flatMap(({ path, text }) => {
      const lines = text.trimEnd().split("\n").length;
      const others = path.endsWith(".test.ts") ? TEST_LINES_MAX : FILE_LINES_MAX;
      const max = isMain(path) ? MAIN_LINES_MAX : others;
      return lines > max ? [`${path}: ${lines} lines, ${max} at most`] : [];
    });
    assertNone("files stay short", long);
  });
});

describe("imports", () => {
  test("never reach another service", () => {
    const services = [...SERVICES, "sandbox"];
    assertNone(
      "only src/local joins services",
      offendersBy(sources, ({ path }, target) => {
        const [from, to] = [partOf(path), partOf(target)];
        return from !== to && from !== "local" && services.includes(to ?? "");
      }),
    );
  });

  test("never reach a main.ts", () => {
    assertNone("a main.ts is only run", offendersBy(everything, (_, target) => isMain(target)));
  });

  test("never reach src/local, but from itself, tests and scripts", () => {
    const reachesLocal = (path: string, target: string) =>
      partOf(target) === "local" && partOf(path) !== "local";
    assertNone(
      "src/local is the outermost",
      offendersBy(sources, ({ path }, target) => reachesLocal(path, target)),
    );
  });

  test("of src/shared stay in src/shared", () => {
    assertNone(
      "src/shared knows no service",
      offendersBy(
        sources,
        ({ path }, target) =>
          path.startsWith("src/shared/") && target.startsWith("src/") &&
          !target.startsWith("src/shared/"),
      ),
    );
  });

  test("of src/shared/domain stay in src/shared/domain", () => {
    assertNone(
      "the domain is pure: no package, not even node:",
      offendersBy(
        sources,
        ({ path }, target) =>
          path.startsWith("src/shared/domain/") && !target.startsWith("src/shared/domain/"),
      ),
    );
  });

  test("of src never reach tests or scripts", () => {
    assertNone(
      "production code stands alone",
      offendersBy(sources, (_, target) => /^(tests|scripts)\//.test(target)),
    );
  });

  test("of our own files name the file", () => {
    assertNone(
      "relative imports end in .ts",
      offendersBy(
        everything,
        (_, target) =>
          /^(src|tests|scripts)\//.test(target) && !/\.(ts|mjs|sql|json)$/.test(target),
      ),
    );
  });
});

describe("the code", () => {
  function containing(pattern: RegExp, exempt: (path: string) => boolean): string[] {
    return sources.filter(({ path, code }) => !exempt(path) && pattern.test(code)).map(({ path }) =>
      path
    );
  }
  const local = (path: string) => path.startsWith("src/local/");

  test("reads the environment and sees signals in one place", () => {
    const shell = (path: string) => path === "src/shared/runtime/service.ts" || local(path);
    const pattern = /\bprocess\s*\.\s*(env|on|once|exit|exitCode|argv|kill)\b|\bDeno\s*\.\s*env\b/;
    assertNone("only runtime/service.ts touches the process", containing(pattern, shell));
  });

  test("writes to the console only on a laptop", () => {
    assertNone("services log through runtime/log.ts", containing(/\bconsole\s*\./, local));
  });

  test("has no default exports but a main.ts", () => {
    assertNone("exports have names", containing(/\bexport\s+default\b/, isMain));
  });

  test("has no classes but errors", () => {
    assertNone(
      "functions and data",
      containing(/\bclass\s+\w+(?!\w*\s+extends\s+\w*(Error|Exception)\b)/, () => false),
    );
  });

  test("has no any, and no errors waved through", () => {
    const pattern = /:\s*any\b|\bas\s+any\b|<any>|\bas\s+any\[\]/;
    assertNone("types are known", containing(pattern, () => false));
    const waved = sources.filter(({ text }) => /@ts-(ignore|nocheck|expect-error)/.test(text));
    assertNone("the type checker has the last word", waved.map(({ path }) => path));
  });

  test("has no unfinished business", () => {
    const left = everything.filter(({ path, text }) =>
      path !== "tests/architecture.test.ts" && /\b(TODO|FIXME|XXX|HACK)\b/.test(text)
    );
    assertNone("what is missing is done or an issue", left.map(({ path }) => path));
  });
});
