import { randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { after } from "node:test";

export type TwilioMessage = {
  sid: string;
  /** What the call said, by Twilio's names. */
  parameters: Record<string, string>;
  createdAt: Date;
};

export type TwilioFault =
  | { status: number; code?: number; retryAfter?: number; kept?: boolean }
  /** The connection is cut, before or after the message was taken. */
  | "cut"
  | "kept and cut"
  | "silence"
  /** Answers when the test says so. */
  | Promise<unknown>;

export type TwilioServer = {
  url: string;
  messages: TwilioMessage[];
  /** At the next `times` calls of this method. */
  fail: (method: "POST" | "GET", fault: TwilioFault, times?: number) => void;
  /** A message that Twilio has, whoever sent it. Returns its SID. */
  keep: (parameters: Record<string, string>) => string;
  /** The last call's headers. */
  headers: () => IncomingMessage["headers"];
};

/** Twilio's Messages resource, with faults. It ends with the test (or the suite) that asked for it. */
export async function createTwilioServer(): Promise<TwilioServer> {
  const faults: { method: string; fault: TwilioFault }[] = [];
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
    const index = faults.findIndex(({ method }) => method === request.method);
    const [planned] = index < 0 ? [] : faults.splice(index, 1);
    const fault = planned?.fault;
    const parameters = Object.fromEntries(new URLSearchParams(body));

    if (fault === "kept and cut") keep(parameters);
    if (fault === "cut" || fault === "kept and cut") return void request.socket.destroy();
    if (fault === "silence") return;
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
      response.writeHead(201, { "content-type": "application/json" });
      response.end(JSON.stringify({ sid: keep(parameters), status: "queued", to: parameters.To }));
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
    fail: (method, fault, times = 1) => {
      for (let i = 0; i < times; i++) faults.push({ method, fault });
    },
    keep,
    headers: () => headers,
  };
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
