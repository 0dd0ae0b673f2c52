import { join } from "node:path";
import process from "node:process";
import postgres from "postgres";
import { startContainer } from "./container.ts";
import { findFolder, output, pathFolders, versionFolders } from "./executables.ts";
import { freePort, type Server, startServer, type User } from "./server.ts";

const OLDEST_VERSION = 15;
const IMAGE = "docker.io/library/postgres:18";
const CHECK_TIMEOUT_SECONDS = 2;

export type PostgresOptions = {
  /** Whether a commit is on the disk when it returns, as in production. Tests are quicker without. */
  durable: boolean;
  /** The URL of a primary: this one begins as a copy of it, and follows it until it is promoted. */
  standbyOf?: string;
};

/** The name by which `synchronous_standby_names` knows a standby. */
export const STANDBY_NAME = "standby";

/** The folder of an installed PostgreSQL's programs, or null. */
export async function findPostgres(): Promise<string | null> {
  const debian = (await versionFolders("/usr/lib/postgresql")).map((folder) => join(folder, "bin"));
  const configured = await output("pg_config", ["--bindir"]).catch(() => "");
  const folders = [...debian, configured, ...pathFolders()].filter((folder) => folder !== "");
  return await findFolder(folders, ["initdb", "postgres"]);
}

/** Starts a PostgreSQL of its own from the programs in `bin`, on a free port of 127.0.0.1, with an empty database. */
export async function startPostgres(bin: string, options: PostgresOptions): Promise<Server> {
  const version = (await output(join(bin, "postgres"), ["--version"])).match(/\d+(\.\d+)?/)?.[0];
  if (!(Number.parseInt(version ?? "") >= OLDEST_VERSION)) {
    throw new Error(
      `${bin} is version ${version}, and ${OLDEST_VERSION} is the oldest that will do`,
    );
  }
  const port = await freePort();
  const url = urlOf(port);
  const user = await unprivilegedUser();
  const env = environment();
  return await startServer({
    description: `${version} of ${bin}`,
    url,
    user,
    stopSignal: "QUIT",
    prepare: async (folder) => {
      const data = join(folder, "data");
      const [program, args] = options.standbyOf === undefined
        ? ["initdb", initArguments(data)] as const
        : ["pg_basebackup", copyArguments(data, options.standbyOf)] as const;
      // As the server's own user, for initdb refuses to run as root
      await output(join(bin, program), args, { ...user, env, cwd: folder });
    },
    commands: (folder) => {
      const place = ["-D", join(folder, "data"), "-p", `${port}`];
      const args = [...place, "-c", "unix_socket_directories=", ...settings(options)];
      return [{ file: join(bin, "postgres"), args, env }];
    },
    check: () => checkPostgres(url),
  });
}

export async function startPostgresContainer(
  engine: string,
  options: PostgresOptions,
): Promise<Server> {
  const port = await freePort();
  const url = urlOf(port);
  return await startContainer({
    engine,
    image: IMAGE,
    publish: `127.0.0.1:${port}:5432`,
    env: { POSTGRES_HOST_AUTH_METHOD: "trust" },
    args: settings(options),
    url,
    check: () => checkPostgres(url),
  });
}

/** Rejects, with the reason, when the database does not answer. */
export async function checkPostgres(url: string): Promise<void> {
  const sql = postgres(url, { max: 1, connect_timeout: CHECK_TIMEOUT_SECONDS, onnotice: () => {} });
  try {
    await sql`select 1`;
  } finally {
    await sql.end({ timeout: CHECK_TIMEOUT_SECONDS });
  }
}

function initArguments(data: string): string[] {
  const args = ["-D", data, "-U", "postgres", "--auth", "trust"];
  return [...args, "--encoding", "UTF8", "--locale", "C", "--no-sync"];
}

function copyArguments(data: string, primaryUrl: string): string[] {
  const primary = new URL(primaryUrl);
  primary.searchParams.set("application_name", STANDBY_NAME);
  return [
    "-D",
    data,
    "-d",
    primary.href,
    "--write-recovery-conf",
    "--checkpoint=fast",
    "--no-sync",
  ];
}

function settings({ durable }: PostgresOptions): string[] {
  const all = ["max_connections=200"];
  if (!durable) all.push("fsync=off", "synchronous_commit=off", "full_page_writes=off");
  return all.flatMap((setting) => ["-c", setting]);
}

function urlOf(port: number): string {
  return `postgres://postgres@127.0.0.1:${port}/postgres`;
}

/** PostgreSQL will not run as root. */
async function unprivilegedUser(): Promise<User | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ["postgres", "nobody"]) {
    const ids = await Promise.all([output("id", ["-u", name]), output("id", ["-g", name])])
      .catch(() => null);
    if (ids !== null) return { uid: Number(ids[0]), gid: Number(ids[1]) };
  }
  throw new Error("PostgreSQL does not run as root, and there is no user postgres or nobody");
}

/** Without the PG… settings of whoever runs this. */
function environment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(([name]) => !name.startsWith("PG"));
  return Object.fromEntries(entries);
}
