/** Builds the image of each service, and of the migration, with podman or buildah: `npm run build:images -- [service …]`. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type BundleName, BUNDLES } from "./bundle.ts";
import { output } from "./services/executables.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const ENGINES = ["podman", "buildah"] as const;

/**
 * Every file of a layer bears this time, and so does the image, so that a layer changes only with what is in it: a new
 * commit leaves Node's 150 MB where they are. When the commit was made is said by the image's labels.
 */
const TIMESTAMP = "0";

const USAGE = `npm run build:images -- [service …]
  --registry <prefix>         before the names: ghcr.io/example/carillon (localhost/carillon)
  --tag <tag>                 after them (the commit)
  --source <url>              where the code is, for the label
  --build-arg <NAME=value>    NODE_IMAGE or BASE_IMAGE from a mirror; may be repeated
  services: ${BUNDLES.join(", ")}; all of them when none is named`;

type Commit = { revision: string; createdAt: string };

async function main(): Promise<void> {
  const { values, positionals } = readArguments();
  const unknown = positionals.find((name) => !BUNDLES.includes(name as BundleName));
  if (unknown !== undefined) {
    throw new Error(`Cannot build "${unknown}": expected one of ${BUNDLES.join(", ")}`);
  }
  const names = positionals.length === 0 ? BUNDLES : positionals as BundleName[];
  const engine = await findEngine();
  const commit = await readCommit();
  const { version } = JSON.parse(await readFile(`${ROOT}package.json`, "utf8"));
  const facts = {
    VERSION: String(version),
    REVISION: commit.revision,
    CREATED: commit.createdAt,
    ...(values.source === undefined ? {} : { SOURCE: values.source }),
  };

  for (const name of names) {
    const image = `${values.registry}/${name}:${values.tag ?? commit.revision}`;
    const given = Object.entries({ ...facts, SERVICE: name }).map((pair) => pair.join("="));
    const buildArgs = [...given, ...values["build-arg"]].flatMap((arg) => ["--build-arg", arg]);
    const options = [
      "--layers",
      "--timestamp",
      TIMESTAMP,
      "--identity-label=false",
      "--tag",
      image,
    ];
    await run(engine, ["build", ...options, ...buildArgs, ROOT]);
    console.log(image);
  }
}

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        registry: { type: "string", default: "localhost/carillon" },
        tag: { type: "string" },
        source: { type: "string" },
        "build-arg": { type: "string", multiple: true, default: [] },
      },
    });
  } catch (error) {
    throw new Error(`Cannot build the images: ${(error as Error).message}\n${USAGE}`);
  }
}

async function findEngine(): Promise<string> {
  for (const engine of ENGINES) {
    if (await output(engine, ["--version"]).then(() => true, () => false)) return engine;
  }
  throw new Error(
    `Cannot build the images: neither ${ENGINES.join(" nor ")} is installed. Install one of them`,
  );
}

/** A work tree with changes is not its commit, and says so. */
async function readCommit(): Promise<Commit> {
  const git = (...args: string[]) => output("git", args, { cwd: ROOT });
  const [revision, createdAt, changes] = await Promise.all([
    git("rev-parse", "HEAD"),
    git("show", "--no-patch", "--format=%cI", "HEAD"),
    git("status", "--porcelain"),
  ]);
  return { revision: changes === "" ? revision : `${revision}-changed`, createdAt };
}

/** What the engine has to say goes to stderr, so that stdout is the list of images. */
async function run(engine: string, args: readonly string[]): Promise<void> {
  const child = spawn(engine, args, { stdio: ["ignore", process.stderr, process.stderr] });
  const [code, signal] = await once(child, "exit");
  if (code !== 0) {
    throw new Error(`Cannot build the images: ${engine} ended with ${code ?? signal}`);
  }
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
