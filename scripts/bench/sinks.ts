import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Server } from "node:net";

/** A server that takes whatever it gets, as fast as can be, and counts it by the delivery it names. */
export type Sink = { url: string; calls: Map<string, number>; stop: () => void };

const ANSWERS: [command: string, answer: string][] = [
  ["EHLO", "250 sink"],
  ["MAIL", "250 ok"],
  ["RCPT", "250 ok"],
  ["DATA", "354 go on"],
  ["QUIT", "221 bye"],
];
const MESSAGE_ID = /^message-id: <([^@>]+)@/im;
const END_OF_BODY = "\r\n.\r\n";

export async function startSmtpSink(): Promise<Sink> {
  const calls = new Map<string, number>();
  const server = createServer((socket) => {
    let text = "";
    let inBody = false;
    socket.setEncoding("latin1").on("error", () => {}).on("data", (part: string) => {
      text += part;
      for (;;) {
        const end = text.indexOf(inBody ? END_OF_BODY : "\r\n");
        if (end < 0) return;
        const line = text.slice(0, end);
        text = text.slice(end + (inBody ? END_OF_BODY : "\r\n").length);
        if (inBody) count(calls, MESSAGE_ID.exec(line)?.[1] ?? "");
        const answer = inBody
          ? "250 taken"
          : ANSWERS.find(([command]) => line.toUpperCase().startsWith(command))?.[1] ?? "250 ok";
        inBody = !inBody && answer.startsWith("354");
        socket.write(`${answer}\r\n`);
      }
    });
    socket.write("220 sink\r\n");
  });
  const port = await listen(server);
  return { url: `smtp://127.0.0.1:${port}`, calls, stop: () => server.close() };
}

/** Answers as Twilio's Messages resource. */
export async function startTwilioSink(): Promise<Sink> {
  const calls = new Map<string, number>();
  const server = createHttpServer((request, response) => {
    let text = "";
    request.setEncoding("utf8").on("data", (part: string) => text += part).on("end", () => {
      const callback = new URLSearchParams(text).get("StatusCallback") ?? "";
      const id = new URL(callback).searchParams.get("delivery") ?? "";
      count(calls, id);
      response.writeHead(201, { "content-type": "application/json" });
      response.end(JSON.stringify({ sid: `SM${id.replaceAll("-", "")}`, status: "queued" }));
    });
  });
  const port = await listen(server);
  const stop = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${port}`, calls, stop };
}

function count(calls: Map<string, number>, id: string): void {
  calls.set(id, (calls.get(id) ?? 0) + 1);
}

async function listen(server: Pick<Server, "listen" | "address">): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}
