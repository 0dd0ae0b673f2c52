import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type AMQPChannel, AMQPClient } from "@cloudamqp/amqp-client";
import type { Log } from "../runtime/log.ts";

const HEARTBEAT_SECONDS = 10;
const FRAME_BYTES_MAX = 8_192;
const START_TIMEOUT_MS = 30_000;
const ANSWER_TIMEOUT_MS = 5_000;
const CLOSE_TIMEOUT_MS = 2_000;
const RECONNECT_PAUSE_MS = 200;
const RECONNECT_PAUSE_MAX_MS = 5_000;

export type ConnectionOptions = {
  /** Shown in RabbitMQ's list of connections. */
  name: string;
  log: Log;
  /** Without a first connection in this time the process had better start anew. */
  startTimeoutMs?: number | undefined;
  heartbeatSeconds?: number | undefined;
};

export type Stages = {
  /** Runs before anyone uses a new client. When it rejects, the client is given up and the next one tried. */
  prepare: (client: AMQPClient) => Promise<void>;
  /** Runs as soon as the client may be used. */
  start: (client: AMQPClient) => void;
};

export type Connection = {
  /** Null while there is no connection. */
  client: () => AMQPClient | null;
  /** Why there is no connection. */
  failure: () => Error;
  close: () => Promise<void>;
};

/**
 * Keeps a connection to the broker. Rejects when there is none in time at the start; after that it tries for ever.
 *
 * Each connection is a client of its own. The library's session connects the same client again: there the late events
 * of a dead socket end the connection that replaced it, and consumers resume before queues can be declared again.
 */
export async function keepConnected(
  url: string,
  { name, log, startTimeoutMs = START_TIMEOUT_MS, heartbeatSeconds, prepare, start }:
    & ConnectionOptions
    & Stages,
): Promise<Connection> {
  const address = new URL(url).host;
  const closing = new AbortController();
  const first = Promise.withResolvers<void>();
  let current: AMQPClient | undefined;
  let live: AMQPClient | null = null;
  let reason = "not connected yet";

  /** Resolves with the reason when the connection, or the attempt at one, has ended. */
  async function connectOnce(): Promise<string> {
    const client = createClient(url, { name, heartbeatSeconds });
    current = client;
    try {
      const connected = client.connect();
      client.socket?.setNoDelay(); // Or a frame waits 40 ms for the broker's word on the one before
      const lost = reasonOfLoss(client);
      await inTime(connected);
      await prepare(client);
      live = client;
      reason = "";
      log.info("connected to RabbitMQ", { address });
      first.resolve();
      start(client);
      return await lost;
    } catch (error) {
      // The message only: the library's errors hold recent frames
      return (error as Error).message || "no answer at any of its addresses";
    } finally {
      live = null;
      dropConnection(client, "it is given up");
    }
  }

  async function connectForEver(): Promise<void> {
    let pauseMs = RECONNECT_PAUSE_MS;
    while (!closing.signal.aborted) {
      const ending = await connectOnce();
      if (closing.signal.aborted) return;
      if (reason === "") pauseMs = RECONNECT_PAUSE_MS; // It was connected
      if (reason !== ending) log.warn("no connection to RabbitMQ", { address, reason: ending });
      reason = ending;
      // Spread, or all services would come back in the same moment
      await pause(pauseMs * (0.5 + Math.random() / 2), closing.signal);
      pauseMs = Math.min(pauseMs * 2, RECONNECT_PAUSE_MAX_MS);
    }
  }

  async function close(): Promise<void> {
    closing.abort();
    if (live !== null) await inTime(live.close(), CLOSE_TIMEOUT_MS).catch(() => {});
    if (current !== undefined) dropConnection(current, "closing");
    await ended;
  }

  const failure = () => noConnection(address, reason);
  const ended = connectForEver();
  try {
    await inTime(first.promise, startTimeoutMs);
  } catch {
    await close();
    throw failure();
  }
  return { client: () => live, failure, close };
}

/** Where the topology was refused, the reason is a whole sentence. */
function noConnection(address: string, reason: string): Error {
  if (reason.startsWith("Cannot ")) return new Error(reason);
  return new Error(`Cannot reach RabbitMQ at ${address}: ${reason}`);
}

async function pause(pauseMs: number, signal: AbortSignal): Promise<void> {
  await sleep(pauseMs, undefined, { signal }).catch(() => {}); // Aborting ends it early
}

/** Ends the connection of `client`; `keepConnected` makes the next. Harmless when it has ended. */
export function dropConnection(client: AMQPClient, reason: string): void {
  client.socket?.destroy(new Error(reason));
}

/** Gives `work` a channel of its own: a refusal closes the channel it came on. */
export async function withChannel<Result>(
  client: AMQPClient,
  work: (channel: AMQPChannel) => Promise<Result>,
): Promise<Result> {
  const channel = await inTime(client.channel());
  try {
    return await inTime(work(channel));
  } finally {
    await closeChannel(channel);
  }
}

export async function closeChannel(channel: AMQPChannel): Promise<void> {
  if (!channel.closed) await inTime(channel.close(), CLOSE_TIMEOUT_MS).catch(() => {});
}

/** The library waits for ever for the answers of a broker that is gone. */
export async function inTime<Result>(
  work: Promise<Result>,
  timeoutMs = ANSWER_TIMEOUT_MS,
): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function createClient(
  url: string,
  { name, heartbeatSeconds = HEARTBEAT_SECONDS }: {
    name: string;
    heartbeatSeconds?: number | undefined;
  },
): AMQPClient {
  const settings = new URL(url);
  settings.searchParams.set("name", name);
  settings.searchParams.set("heartbeat", String(heartbeatSeconds));
  settings.searchParams.set("frameMax", String(FRAME_BYTES_MAX));
  const client = new AMQPClient(settings.href, undefined, null);

  // The library leaves some of these promises without a handler, so that a reset in the middle of a write would end
  // the process. Nobody needs them: a lost connection is told by its close event
  const send = client.send.bind(client);
  client.send = (bytes) => send(bytes).catch(() => {});
  return client;
}

/** To be called when `client` has begun to connect. Resolves when its connection is gone. */
function reasonOfLoss(client: AMQPClient): Promise<string> {
  return new Promise((resolve) => {
    const { socket } = client;
    if (socket === undefined) return resolve("there is no connection");
    let reason = "the connection was closed";
    client.ondisconnect = (error) => reason = error?.message ?? reason; // The broker said why
    socket.once("error", ({ message }) => reason = message);
    socket.once("close", () => resolve(reason));
    endWhenSilent(socket, client.heartbeat);
  });
}

/**
 * The broker sends something at least twice in a heartbeat's time. The library's own check lets writes count as a sign of life,
 * so that a busy publisher would talk to a dead peer for a quarter of an hour.
 */
function endWhenSilent(socket: Socket, heartbeatSeconds: number): void {
  let bytesRead = 0;
  const timer = setInterval(() => {
    if (socket.bytesRead === bytesRead) socket.destroy(new Error("the broker fell silent"));
    bytesRead = socket.bytesRead;
  }, heartbeatSeconds * 1_000);
  socket.once("close", () => clearInterval(timer));
}
