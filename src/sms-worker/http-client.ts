import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Socket } from "node:net";

const ANSWER_BYTES_MAX = 1024 * 1024;
const CONNECTIONS_MAX = 50;
const IDLE_TIMEOUT_MS = 4_000;

export type HttpCall = {
  method: string;
  url: URL;
  headers: Record<string, string>;
  body: string | null;
};

export type HttpAnswer = { status: number; headers: IncomingMessage["headers"]; body: string };

/** The call ended without an answer. */
export class BrokenCall extends Error {
  override readonly name = "BrokenCall";
  /** The request may have arrived: there was a connection to write it to. */
  readonly reached: boolean;
  readonly code: string;

  constructor(code: string, reached: boolean) {
    super("Cannot complete an HTTP call: the connection failed");
    this.code = code;
    this.reached = reached;
  }
}

export type HttpClient = {
  call: (call: HttpCall) => Promise<HttpAnswer>;
  /** Ends idle connections. */
  close: () => void;
};

/**
 * An HTTP client that can tell a request that never left from one that may have arrived, as neither fetch nor axios
 * can: a time-out looks the same to both. Never repeats a call and follows no redirect.
 */
export function createHttpClient({ timeoutMs }: { timeoutMs: number }): HttpClient {
  const options = { keepAlive: true, maxSockets: CONNECTIONS_MAX, timeout: IDLE_TIMEOUT_MS };
  const agents = { "http:": new HttpAgent(options), "https:": new HttpsAgent(options) };

  return {
    call: ({ method, url, headers, body }) =>
      new Promise((resolve, reject) => {
        let reached = false;
        const secure = url.protocol === "https:";
        const request = secure
          ? httpsRequest(url, { method, headers, agent: agents["https:"] })
          : httpRequest(url, { method, headers, agent: agents["http:"] });
        const timer = setTimeout(() => request.destroy(codedError("ETIMEDOUT")), timeoutMs);

        request.on("socket", (socket: Socket) => {
          if (!socket.connecting) reached = true;
          else socket.once(secure ? "secureConnect" : "connect", () => reached = true);
        });
        const fail = (error: NodeJS.ErrnoException) => {
          clearTimeout(timer);
          reject(new BrokenCall(error.code ?? "unknown", reached));
        };
        request.on("error", fail);
        request.on("response", (response) => {
          readAnswer(response).then((answer) => {
            clearTimeout(timer);
            resolve(answer);
          }, fail);
        });
        request.end(body);
      }),
    close: () => Object.values(agents).forEach((agent) => agent.destroy()),
  };
}

async function readAnswer(response: IncomingMessage): Promise<HttpAnswer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Uint8Array>) {
    bytes += chunk.byteLength;
    if (bytes > ANSWER_BYTES_MAX) throw codedError("EMSGSIZE");
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks).toString("utf8");
  return { status: response.statusCode ?? 0, headers: response.headers, body };
}

function codedError(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error("Cannot complete an HTTP call"), { code });
}
