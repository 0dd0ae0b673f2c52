import { once } from "node:events";
import { Agent, request } from "node:http";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

export type RawAnswer = { status: number; code: string | undefined; text: string };

type Options = {
  method?: string;
  headers?: Record<string, string>;
  body?: string | Uint8Array;
  /** Does not say beforehand how long the body is. */
  chunked?: boolean;
};

/**
 * Sends a request that no well-meaning client would send, on a connection of its own.
 *
 * The connection is one to be kept: the server ends another at once when it has answered, and an answer that came before
 * the end of the body is lost.
 */
export async function sendHttp(
  url: string,
  { method = "POST", headers = {}, body = "", chunked = false }: Options,
): Promise<RawAnswer> {
  const length = chunked ? {} : { "content-length": `${Buffer.byteLength(body)}` };
  const agent = new Agent({ keepAlive: true });
  const sent = request(url, { method, headers: { ...headers, ...length }, agent });
  const answered = new Promise<RawAnswer>((resolve, reject) => {
    sent.on("error", reject); // After the answer it says only that the rest was not wanted
    sent.on("response", (response) => {
      let text = "";
      const end = () => resolve({ status: response.statusCode ?? 0, code: codeOf(text), text });
      response.setEncoding("utf8").on("data", (part: string) => text += part);
      response.on("end", end).on("error", end);
    });
  });
  sent.end(body);
  return await answered.finally(() => agent.destroy());
}

function codeOf(text: string): string | undefined {
  try {
    return JSON.parse(text).code;
  } catch {
    return undefined;
  }
}

/**
 * Writes `first` into a connection, then `bytes`, each `paceMs` after the other when that is given. Returns all that comes
 * until the server ends the connection.
 */
export async function talk(
  url: string,
  bytes: string,
  { first = "", paceMs }: { first?: string; paceMs?: number } = {},
): Promise<{ heard: string; ms: number }> {
  const { hostname, port } = new URL(url);
  const startedAt = performance.now();
  const socket = connect(Number(port), hostname);
  let heard = "";
  socket.setEncoding("latin1").on("data", (part: string) => heard += part);
  socket.on("error", () => {}); // What we provoke
  const closed = once(socket, "close");
  await once(socket, "connect");
  socket.write(first);
  if (paceMs === undefined) socket.write(bytes);
  else {
    for (const byte of bytes) {
      if (!socket.writable || heard !== "") break;
      socket.write(byte);
      await sleep(paceMs);
    }
  }
  await closed;
  return { heard, ms: Math.round(performance.now() - startedAt) };
}
