import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { after } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

export type TwilioMessage = {
  sid: string;
  /** What the call said, by Twilio's names. */
  parameters: Record<string, string>;
  createdAt: Date;
};

export type TwilioFault =
  | { status: number; code?: number; retryAfter?: number; kept?: boolean }
  /** Taken, and answered when the test says so. */
  | { keptUntil: Promise<unknown> }
  /** The connection is cut, before or after the message was taken. */
  | "cut"
  | "kept and cut"
  | "silence"
  /** An answer of one byte a second. */
  | "tarpit"
  /** Answers when the test says so. */
  | Promise<unknown>;

export type TwilioServer = {
  url: string;
  messages: TwilioMessage[];
  /** At the next `times` calls of this method; of this sender only, where one is named. */
  fail: (method: Method, fault: TwilioFault, times?: number, whose?: { from?: string }) => void;
  /** Nothing fails any more. */
  heal: () => void;
  /** How many calls of this method have come, whatever became of them. */
  calls: (method: Method, whose?: { from?: string }) => number;
  /** A message that Twilio has, whoever sent it. Returns its SID. */
  keep: (parameters: Record<string, string>) => string;
  /** The last call's headers. */
  headers: () => IncomingMessage["headers"];
};

type Method = "POST" | "GET";
type Planned = { method: Method; fault: TwilioFault; times: number; from: string | undefined };

const TARPIT_BYTE_MS = 1_000;

/** Twilio's Messages resource, with faults. It ends with the test (or the suite) that asked for it. */
export async function createTwilioServer(): Promise<TwilioServer> {
  const faults: Planned[] = [];
  const calls: { method: string | undefined; from: string | undefined }[] = [];
  const messages: TwilioMessage[] = [];
  const sockets = new Set<Socket>();
  let headers: IncomingMessage["headers"] = {};

  function keep(parameters: Record<string, string>): string {
    const sid = `SM${randomBytes(16).toString("hex")}`;
    messages.push({ sid, parameters, createdAt: new Date() });
    return sid;
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    headers = request.headers;
    const body = await new Response(request as never).text();
    const parameters = Object.fromEntries(new URLSearchParams(body));
    calls.push({ method: request.method, from: parameters.From });
    const planned = faults.find(({ method, times, from }) =>
      method === request.method && times > 0 && (from ?? parameters.From) === parameters.From
    );
    if (planned !== undefined) planned.times -= 1;
    const fault = planned?.fault;

    if (fault === "kept and cut") keep(parameters);
    if (fault === "cut" || fault === "kept and cut") return void request.socket.destroy();
    if (fault === "silence") return;
    if (fault === "tarpit") return void drip(response);
    if (fault instanceof Promise) await fault;
    if (fault !== undefined && "status" in fault) {
      if (fault.kept === true) keep(parameters);
      const retry = fault.retryAfter === undefined
        ? {}
        : { "retry-after": String(fault.retryAfter) };
      response.writeHead(fault.status, { "content-type": "application/json", ...retry });
      const message = `The number ${parameters.To ?? ""} is quoted here`;
      response.end(JSON.stringify({ code: fault.code, message, status: fault.status }));
      return;
    }
    if (request.method === "POST") {
      const sid = keep(parameters);
      if (typeof fault === "object" && "keptUntil" in fault) await fault.keptUntil;
      response.writeHead(201, { "content-type": "application/json" });
      response.end(JSON.stringify({ sid, status: "queued", to: parameters.To }));
      return;
    }
    const to = new URL(request.url ?? "", "http://twilio").searchParams.get("To");
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({
      messages: messages.filter(({ parameters }) => parameters.To === to).map(describe),
      next_page_uri: null,
    }));
  }

  const server = createServer((request, response) => void handle(request, response));
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as { port: number };
  return {
    url: `http://127.0.0.1:${port}`,
    messages,
    fail: (method, fault, times = 1, { from } = {}) =>
      void faults.push({ method, fault, times, from }),
    heal: () => void faults.splice(0),
    calls: (method, { from } = {}) =>
      calls.filter((call) => call.method === method && (from ?? call.from) === call.from).length,
    keep,
    headers: () => headers,
  };
}

async function drip(response: ServerResponse): Promise<void> {
  response.writeHead(201, { "content-type": "application/json" });
  for (const letter of `{"sid":"${"0".repeat(500)}`) {
    if (response.destroyed) return;
    response.write(letter);
    await sleep(TARPIT_BYTE_MS, undefined, { ref: false });
  }
}

function describe({ sid, parameters, createdAt }: TwilioMessage) {
  return {
    sid,
    to: parameters.To,
    from: parameters.From ?? null,
    messaging_service_sid: parameters.MessagingServiceSid ?? null,
    body: parameters.Body,
    status: "queued",
    date_created: createdAt.toUTCString(),
    date_sent: null,
  };
}
