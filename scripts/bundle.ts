/** Bundles each service to dist/<service>/main.mjs, as its image runs it: `node --import tsx scripts/bundle.ts [service …]`. */
import { cp, rm } from "node:fs/promises";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

export const SERVICES = [
  "etl",
  "scheduler",
  "appointment-service",
  "notification-dispatcher",
  "email-worker",
  "sms-worker",
] as const;
export type ServiceName = (typeof SERVICES)[number];

/** The services, and what brings their database up to date. */
export const BUNDLES = [...SERVICES, "migrate"] as const;
export type BundleName = (typeof BUNDLES)[number];

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const DATABASE = `${ROOT}src/shared/database`;
const NODE = "node26";

/** The packages that are CommonJS ask for Node's own modules with require(), which an ES module does not have. */
const REQUIRE =
  `import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url);`;

/** Returns the path of the bundle's main.mjs. What it imports only when asked for becomes a file of its own. */
export async function bundle(name: BundleName): Promise<string> {
  const outdir = `${ROOT}dist/${name}`;
  await rm(outdir, { recursive: true, force: true });
  await build({
    absWorkingDir: ROOT,
    entryPoints: { main: name === "migrate" ? "scripts/migrate.ts" : `src/${name}/main.ts` },
    outdir,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    splitting: true,
    minify: true,
    keepNames: true, // Errors are told apart, and logged, by name
    platform: "node",
    format: "esm",
    target: NODE,
    banner: { js: REQUIRE },
    legalComments: "none",
    logLevel: "warning",
  });
  if (name === "migrate") { // It reads its SQL from beside itself
    await cp(`${DATABASE}/migrations`, `${outdir}/migrations`, { recursive: true });
    await cp(`${DATABASE}/roles.sql`, `${outdir}/roles.sql`);
  }
  return `${outdir}/main.mjs`;
}

if (import.meta.main) {
  const wanted = process.argv.slice(2);
  const unknown = wanted.find((name) => !BUNDLES.includes(name as BundleName));
  if (unknown === undefined) {
    const names = wanted.length === 0 ? BUNDLES : wanted as BundleName[];
    for (const file of await Promise.all(names.map(bundle))) console.log(file);
  } else {
    console.error(`Cannot bundle "${unknown}": expected ${BUNDLES.join(", ")}`);
    process.exitCode = 1;
  }
}
