import type { Socket } from "node:net";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { after } from "node:test";

export type Stage = "greeting" | "EHLO" | "AUTH" | "MAIL" | "RCPT" | "DATA" | "body";

/** What the server does instead of going on: a reply, a hang-up, nothing at all, or waiting for the test. */
export type Fault = { reply: string } | "hang up" | "silence" | Promise<unknown>;

export type ReceivedMail = { from: string; to: string[]; text: string };

export type SmtpServer = {
  url: string;
  /** The bodies that arrived whole, accepted or not. */
  mails: ReceivedMail[];
  /** At its next `times` visits to this stage. */
  fail: (stage: Stage, fault: Fault, times?: number) => void;
};

const USUAL: Record<Stage, string> = {
  greeting: "220 test ESMTP",
  EHLO: "250-test\r\n250-AUTH PLAIN\r\n250 ENHANCEDSTATUSCODES",
  AUTH: "235 2.7.0 welcome",
  MAIL: "250 2.1.0 ok",
  RCPT: "250 2.1.5 ok",
  DATA: "354 go ahead",
  body: "250 2.0.0 taken",
};

/** An SMTP server that can fail at each stage. It ends with the test (or the suite) that asked for it. */
export async function createSmtpServer(): Promise<SmtpServer> {
  const faults: { stage: Stage; fault: Fault }[] = [];
  const mails: ReceivedMail[] = [];
  const sockets = new Set<Socket>();

  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {}); // Hanging up on purpose
    void converse(socket, { faults, mails });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as { port: number };
  return {
    url: `smtp://worker:secret@127.0.0.1:${port}`,
    mails,
    fail: (stage, fault, times = 1) => {
      for (let i = 0; i < times; i++) faults.push({ stage, fault });
    },
  };
}

type State = { faults: { stage: Stage; fault: Fault }[]; mails: ReceivedMail[] };

async function converse(socket: Socket, { faults, mails }: State): Promise<void> {
  /** False when the conversation is over. */
  async function answer(stage: Stage): Promise<boolean> {
    const index = faults.findIndex((planned) => planned.stage === stage);
    const [planned] = index < 0 ? [] : faults.splice(index, 1);
    const fault = planned?.fault;
    if (fault === "silence") return false;
    if (fault === "hang up") {
      socket.destroy();
      return false;
    }
    if (fault instanceof Promise) await fault;
    const reply = fault !== undefined && "reply" in fault ? fault.reply : USUAL[stage];
    socket.write(`${reply}\r\n`);
    return /^[23]/.test(reply);
  }

  let mail: ReceivedMail = { from: "", to: [], text: "" };
  let inBody = false;
  await answer("greeting");
  for await (const line of createInterface(socket)) {
    if (inBody && line !== ".") {
      mail.text += `${line.replace(/^\./, "")}\r\n`;
      continue;
    }
    if (inBody) {
      inBody = false;
      mails.push(mail);
      mail = { from: "", to: [], text: "" };
      await answer("body");
      continue;
    }
    const [, address = ""] = /:<(.*?)>/.exec(line) ?? [];
    const command = line.slice(0, 4).toUpperCase();
    if (command === "EHLO" || command === "AUTH") await answer(command);
    else if (command === "MAIL") {
      if (await answer("MAIL")) mail = { from: address, to: [], text: "" };
    } else if (command === "RCPT") {
      if (await answer("RCPT")) mail.to.push(address);
    } else if (command === "DATA") inBody = await answer("DATA");
    else if (command === "QUIT") socket.end("221 2.0.0 bye\r\n");
    else socket.write("250 2.0.0 ok\r\n"); // RSET
  }
}
