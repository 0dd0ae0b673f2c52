import { randomBytes } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { AMQPClient } from "@cloudamqp/amqp-client";
import { startContainer } from "./container.ts";
import { findFolder, output, pathFolders, versionFolders } from "./executables.ts";
import { freePort, type Server, startServer } from "./server.ts";

const IMAGE = "docker.io/library/rabbitmq:4-management";
const CHECK_TIMEOUT_MS = 5_000;

/** The folder of an installed RabbitMQ's programs, or null. */
export async function findRabbitmq(): Promise<string | null> {
  // Debian's rabbitmq-server in the PATH is a wrapper that insists on the machine's own node
  const debian = (await versionFolders("/usr/lib/rabbitmq/lib")).map((name) => join(name, "sbin"));
  return await findFolder([...debian, ...pathFolders()], ["rabbitmq-server", "rabbitmqctl"]);
}

export type RabbitmqNode = Server & {
  /** Its Erlang name. */
  name: string;
  /** Runs rabbitmqctl on it and returns what that prints. */
  ctl: (...args: string[]) => Promise<string>;
  /** Makes it forget everything: to be called between `kill()` and `restart()`. */
  wipe: () => Promise<void>;
};

export type RabbitmqOptions = {
  name?: string;
  /** Where other nodes find it. */
  distributionPort?: number;
  /** Of an Erlang port mapper that runs already; else the node brings its own. */
  epmdPort?: number;
  /** What nodes that work together have in common; else it is the node's own. */
  cookie?: string;
  /** Further lines of rabbitmq.conf. */
  settings?: readonly string[];
};

/**
 * Starts a RabbitMQ node of its own from the programs in `sbin`: on free ports of 127.0.0.1, with its own name, cookie
 * and Erlang port mapper, and none of the machine's configuration.
 */
export async function startRabbitmq(
  sbin: string,
  { name = createNodeName(), distributionPort, epmdPort, cookie, settings = [] }: RabbitmqOptions =
    {},
): Promise<RabbitmqNode> {
  const port = await freePort();
  const ports = {
    distribution: distributionPort ?? await freePort(),
    epmd: epmdPort ?? await freePort(),
  };
  const epmd = epmdPort === undefined ? await findEpmd() : null;
  const version = sbin.match(/rabbitmq_server-([\d.]+)/)?.[1];
  const url = urlOf(port);
  let home = "";
  const server = await startServer({
    description: `${version ?? "the one"} of ${sbin}`,
    url,
    stopSignal: "KILL",
    prepare: async (folder) => {
      home = folder;
      const lines = [`listeners.tcp.1 = 127.0.0.1:${port}`, ...settings];
      await writeFile(join(folder, "rabbitmq.conf"), `${lines.join("\n")}\n`);
      if (cookie === undefined) return;
      await writeFile(join(folder, ".erlang.cookie"), cookie, { mode: 0o400 });
    },
    commands: (folder) => {
      const env = environmentOf(name, folder, ports);
      const node = { file: join(sbin, "rabbitmq-server"), args: [], env };
      if (epmd === null) return [node];
      // In the foreground: the one that Erlang starts by itself would outlive the node
      return [{ file: epmd, args: ["-port", `${ports.epmd}`, "-address", "127.0.0.1"], env }, node];
    },
    check: () => checkRabbitmq(url),
  });
  // Not a spread, which would read `pid` once and for all
  return Object.assign(server, {
    name,
    ctl: async (...args: string[]) => {
      const env = environmentOf(name, home, ports);
      return await output(join(sbin, "rabbitmqctl"), ["--quiet", ...args], { env });
    },
    wipe: () => rm(join(home, "data"), { recursive: true }),
  });
}

export function createNodeName(): string {
  return `carillon-${randomBytes(4).toString("hex")}@localhost`;
}

function environmentOf(
  name: string,
  folder: string,
  ports: { distribution: number; epmd: number },
): NodeJS.ProcessEnv {
  return {
    ...environment(),
    HOME: folder, // Erlang's cookie
    ERL_EPMD_ADDRESS: "127.0.0.1",
    ERL_EPMD_PORT: `${ports.epmd}`,
    RABBITMQ_NODENAME: name,
    RABBITMQ_DIST_PORT: `${ports.distribution}`,
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "-kernel inet_dist_use_interface {127,0,0,1}",
    RABBITMQ_MNESIA_BASE: join(folder, "data"),
    RABBITMQ_LOG_BASE: join(folder, "log"),
    RABBITMQ_CONFIG_FILE: join(folder, "rabbitmq"),
    RABBITMQ_CONFIG_FILES: join(folder, "conf.d"),
    RABBITMQ_ADVANCED_CONFIG_FILE: join(folder, "advanced.config"),
    RABBITMQ_CONF_ENV_FILE: join(folder, "rabbitmq-env.conf"),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, "enabled_plugins"),
  };
}

export async function startRabbitmqContainer(engine: string): Promise<Server> {
  const port = await freePort();
  const url = urlOf(port);
  return await startContainer({
    engine,
    image: IMAGE,
    publish: `127.0.0.1:${port}:5672`,
    env: {},
    args: [],
    url,
    check: () => checkRabbitmq(url),
  });
}

/** Rejects, with the reason, when the broker does not answer. */
export async function checkRabbitmq(url: string): Promise<void> {
  const client = new AMQPClient(url);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`no answer in ${CHECK_TIMEOUT_MS} ms`)),
      CHECK_TIMEOUT_MS,
    );
  });
  try {
    const connection = client.connect();
    await Promise.race([connection, late]);
    await client.close();
  } finally {
    clearTimeout(timer);
  }
}

async function findEpmd(): Promise<string> {
  const erlang = (await versionFolders("/usr/lib/erlang")).map((name) => join(name, "bin"));
  const folder = await findFolder([...pathFolders(), ...erlang], ["epmd"]);
  if (folder === null) throw new Error("Erlang's epmd is not in the PATH");
  return join(folder, "epmd");
}

function urlOf(port: number): string {
  return `amqp://guest:guest@127.0.0.1:${port}/`;
}

/** Without the settings of whoever runs this, or of the machine's own node. */
function environment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env)
    .filter(([name]) => !name.startsWith("RABBITMQ_") && !name.startsWith("ERL_"));
  return Object.fromEntries(entries);
}
