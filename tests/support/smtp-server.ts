import type { Socket } from "node:net";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { after } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

/** `content`: within the body. `body`: after its final dot. */
export type Stage =
  | "greeting"
  | "EHLO"
  | "AUTH"
  | "MAIL"
  | "RCPT"
  | "DATA"
  | "content"
  | "body";

/** What the server does instead of going on: a reply, a hang-up, nothing at all, a reply of one byte a second, or waiting for the test. */
export type Fault =
  | { reply: string }
  | "hang up"
  | "reply and hang up"
  | "silence"
  | "tarpit"
  | Promise<unknown>;

/** Of which mails a fault is; of all where nothing is said. */
export type Whose = { from?: string };

export type ReceivedMail = { from: string; to: string[]; text: string };

export type SmtpServer = {
  url: string;
  /** The bodies that arrived whole, accepted or not. */
  mails: ReceivedMail[];
  /** At its next `times` visits to this stage. */
  fail: (stage: Stage, fault: Fault, times?: number, whose?: Whose) => void;
  /** Nothing fails any more. */
  heal: () => void;
  /** How often each stage was come to. */
  visits: () => Readonly<Record<Stage, number>>;
};

const USUAL: Record<Stage, string> = {
  greeting: "220 test ESMTP",
  EHLO: "250-test\r\n250-AUTH PLAIN\r\n250 ENHANCEDSTATUSCODES",
  AUTH: "235 2.7.0 welcome",
  MAIL: "250 2.1.0 ok",
  RCPT: "250 2.1.5 ok",
  DATA: "354 go ahead",
  content: "",
  body: "250 2.0.0 taken",
};

/** An SMTP server that can fail at each stage. It ends with the test (or the suite) that asked for it. */
export async function createSmtpServer(): Promise<SmtpServer> {
  const faults: Planned[] = [];
  const visits = { greeting: 0, EHLO: 0, AUTH: 0, MAIL: 0, RCPT: 0, DATA: 0, content: 0, body: 0 };
  const mails: ReceivedMail[] = [];
  const sockets = new Set<Socket>();

  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {}); // Hanging up on purpose
    converse(socket, { faults, mails, visits }).catch(() => {}); // The reading of a socket that is gone
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
    fail: (stage, fault, times = 1, { from } = {}) =>
      void faults.push({ stage, fault, times, from }),
    heal: () => void faults.splice(0),
    visits: () => visits,
  };
}

type Planned = { stage: Stage; fault: Fault; times: number; from: string | undefined };

type State = { faults: Planned[]; mails: ReceivedMail[]; visits: Record<Stage, number> };

const TARPIT_BYTE_MS = 1_000;

async function drip(socket: Socket): Promise<void> {
  for (const letter of `250-${"z".repeat(500)}\r\n`) {
    if (socket.destroyed) return;
    socket.write(letter);
    await sleep(TARPIT_BYTE_MS, undefined, { ref: false });
  }
}

async function converse(socket: Socket, { faults, mails, visits }: State): Promise<void> {
  let mail: ReceivedMail = { from: "", to: [], text: "" };
  let inBody = false;

  /** False when the conversation is over. */
  async function answer(stage: Stage): Promise<boolean> {
    visits[stage] += 1;
    const planned = faults.find((planned) =>
      planned.stage === stage && (planned.from ?? mail.from) === mail.from && planned.times > 0
    );
    if (planned !== undefined) planned.times -= 1;
    const fault = planned?.fault;
    if (fault === "silence") return false;
    if (fault === "tarpit") {
      void drip(socket);
      return false;
    }
    if (fault === "hang up") {
      socket.destroy();
      return false;
    }
    if (fault instanceof Promise) await fault;
    if (fault === "reply and hang up") {
      socket.end(`${USUAL[stage]}\r\n`);
      return false;
    }
    if (stage === "content") return true;
    const reply = typeof fault === "object" && "reply" in fault ? fault.reply : USUAL[stage];
    socket.write(`${reply}\r\n`);
    return /^[23]/.test(reply);
  }

  await answer("greeting");
  for await (const line of createInterface(socket)) {
    if (inBody && mail.text === "" && !await answer("content")) return;
    if (inBody && line !== ".") {
      mail.text += `${line.replace(/^\./, "")}\r\n`;
      continue;
    }
    if (inBody) {
      inBody = false;
      mails.push(mail);
      await answer("body");
      mail = { from: "", to: [], text: "" };
      continue;
    }
    const [, address = ""] = /:<(.*?)>/.exec(line) ?? [];
    const command = line.slice(0, 4).toUpperCase();
    if (command === "EHLO" || command === "AUTH") await answer(command);
    else if (command === "MAIL") {
      mail = { from: address, to: [], text: "" };
      await answer("MAIL");
    } else if (command === "RCPT") {
      if (await answer("RCPT")) mail.to.push(address);
    } else if (command === "DATA") inBody = await answer("DATA");
    else if (command === "QUIT") socket.end("221 2.0.0 bye\r\n");
    else socket.write("250 2.0.0 ok\r\n"); // RSET
  }
}
