/** Throwaway PostgreSQL and RabbitMQ: `node --import tsx scripts/services.ts [-- command …]` runs the command with them. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { canInstall, install } from "./services/apt.ts";
import { findContainerEngine } from "./services/container.ts";
import {
  checkPostgres,
  findPostgres,
  startPostgres,
  startPostgresContainer,
} from "./services/postgres.ts";
import {
  checkRabbitmq,
  findRabbitmq,
  startRabbitmq,
  startRabbitmqContainer,
} from "./services/rabbitmq.ts";
import type { Server } from "./services/server.ts";

export type Services = {
  databaseUrl: string | null;
  amqpUrl: string | null;
  /** Why a URL is null: a line for each. */
  missing: string[];
  /** Ends and removes what was started; what was given stays. */
  stop: () => Promise<void>;
};

export type ServicesOptions = {
  /** Whether PostgreSQL keeps its promises when the machine crashes. Tests are quicker without. */
  durable: boolean;
  log: (line: string) => void;
};

type Kind = {
  name: string;
  variable: "DATABASE_URL" | "AMQP_URL";
  debianPackage: string;
  check: (url: string) => Promise<void>;
  find: () => Promise<string | null>;
  start: (folder: string) => Promise<Server>;
  startContainer: (engine: string) => Promise<Server>;
};

type Provided =
  | { kind: "given"; url: string }
  | { kind: "started"; server: Server }
  | { kind: "missing"; why: string };

/**
 * Provides PostgreSQL and RabbitMQ: those of DATABASE_URL and AMQP_URL, else installed programs, else containers, else,
 * as root on Debian or Ubuntu, programs that it installs. What it starts ends at `stop()`, or with this process.
 */
export async function startServices({ durable, log }: ServicesOptions): Promise<Services> {
  const kinds = [postgresKind(durable), RABBITMQ];
  await Promise.all(kinds.map(checkGiven));

  let provided = await Promise.all(kinds.map(provide));
  const packages = kinds.flatMap(({ debianPackage }, index) =>
    provided[index]?.kind === "missing" ? [debianPackage] : []
  );
  if (packages.length > 0 && await canInstall()) {
    log(`Installing ${packages.join(" and ")} with apt-get …`);
    const failure = await install(packages).then(() => null, reasonOf);
    provided = await Promise.all(provided.map(async (one, index) => {
      if (one.kind !== "missing") return one;
      if (failure === null) return await provide(kinds[index] as Kind);
      return { kind: "missing", why: `${one.why}; ${failure}` };
    }));
  }

  const [databaseUrl = null, amqpUrl = null] = provided.map(urlOf);
  provided.forEach((one, index) => log(`${kinds[index]?.name}: ${describe(one)}`));
  return {
    databaseUrl,
    amqpUrl,
    missing: provided.flatMap((one, index) =>
      one.kind === "missing" ? [`${kinds[index]?.name}: ${one.why}`] : []
    ),
    stop: async () => {
      await Promise.all(provided.map((one) => one.kind === "started" ? one.server.stop() : null));
    },
  };
}

function postgresKind(durable: boolean): Kind {
  return {
    name: "PostgreSQL",
    variable: "DATABASE_URL",
    debianPackage: "postgresql",
    check: checkPostgres,
    find: findPostgres,
    start: (folder) => startPostgres(folder, { durable }),
    startContainer: (engine) => startPostgresContainer(engine, { durable }),
  };
}

const RABBITMQ: Kind = {
  name: "RabbitMQ",
  variable: "AMQP_URL",
  debianPackage: "rabbitmq-server",
  check: checkRabbitmq,
  find: findRabbitmq,
  start: startRabbitmq,
  startContainer: startRabbitmqContainer,
};

async function checkGiven({ name, variable, check }: Kind): Promise<void> {
  const url = process.env[variable];
  if (url === undefined || url === "") return;
  try {
    await check(url);
  } catch (error) {
    throw new Error(
      `Cannot reach the ${name} of ${variable}: ${
        reasonOf(error)
      }. Start it, or unset ${variable} to have one started`,
    );
  }
}

async function provide(kind: Kind): Promise<Provided> {
  const url = process.env[kind.variable];
  if (url !== undefined && url !== "") return { kind: "given", url };

  const why: string[] = [];
  try {
    const folder = await kind.find();
    if (folder !== null) return { kind: "started", server: await kind.start(folder) };
    why.push("it is not installed");
  } catch (error) {
    why.push(reasonOf(error));
  }
  try {
    const engine = await findContainerEngine();
    if (engine !== null) return { kind: "started", server: await kind.startContainer(engine) };
    why.push("neither docker nor podman answers");
  } catch (error) {
    why.push(reasonOf(error));
  }
  return { kind: "missing", why: why.join("; ") };
}

function urlOf(provided: Provided): string | null {
  switch (provided.kind) {
    case "given":
      return provided.url;
    case "started":
      return provided.server.url;
    case "missing":
      return null;
  }
}

function describe(provided: Provided): string {
  switch (provided.kind) {
    case "given":
      return "as given in the environment";
    case "started":
      return provided.server.description;
    case "missing":
      return `none, because ${provided.why}`;
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message || String(error.name) : String(error);
}

/** Runs a command with both URLs in its environment and returns its exit code. */
async function runCommand([file = "", ...args]: string[], services: Services): Promise<number> {
  const env = {
    ...process.env,
    ...(services.databaseUrl === null ? {} : { DATABASE_URL: services.databaseUrl }),
    ...(services.amqpUrl === null ? {} : { AMQP_URL: services.amqpUrl }),
  };
  const child = spawn(file, args, { stdio: "inherit", env });
  const forward = (signal: NodeJS.Signals) => void child.kill(signal);
  process.on("SIGINT", forward).on("SIGTERM", forward);
  const [code] = await once(child, "exit");
  return typeof code === "number" ? code : 1;
}

async function untilInterrupted(services: Services): Promise<void> {
  console.log(`DATABASE_URL=${services.databaseUrl}\nAMQP_URL=${services.amqpUrl}`);
  console.log("Press Ctrl-C to end them");
  const awake = setInterval(() => {}, 60_000); // Servers and guards do not keep the process running
  await Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
  clearInterval(awake);
}

if (import.meta.main) {
  const command = process.argv.slice(2).filter((arg, index) => index > 0 || arg !== "--");
  try {
    const services = await startServices({ durable: false, log: console.error });
    try {
      if (services.missing.length > 0) process.exitCode = 1;
      else if (command.length > 0) process.exitCode = await runCommand(command, services);
      else await untilInterrupted(services);
    } finally {
      await services.stop();
    }
  } catch (error) {
    console.error(reasonOf(error));
    process.exitCode = 1;
  }
}
