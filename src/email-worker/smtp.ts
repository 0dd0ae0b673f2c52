import type { Readable } from "node:stream";
import nodemailer, { type Transporter } from "nodemailer";
import type MailMessage from "nodemailer/lib/mailer/mail-message";
import type SMTPPool from "nodemailer/lib/smtp-pool";
import { z } from "zod";
import { type Call, CALL_TIMEOUT_MS, type Provider } from "../shared/delivery/provider.ts";
import { type SmtpFailure, smtpOutcome } from "../shared/delivery/smtp-outcomes.ts";
import type { Outcome } from "../shared/domain/outcome.ts";

export type SmtpTransport = Transporter<SMTPPool.SentMessageInfo>;

const CONNECTIONS_MAX = 20;
/** Half of them: a sender whose mails take for ever leaves the others the rest. */
export const CALLS_PER_SENDER = CONNECTIONS_MAX / 2;
const CONNECT_TIMEOUT_MS = 10_000;
const SILENCE_TIMEOUT_MS = 20_000;

export const smtpConfig = z.object({
  SMTP_URL: z.url({
    protocol: /^smtps?$/,
    error: "expected a URL such as smtps://user:password@mail.example.org",
  }),
});

export function connectSmtp(url: string): SmtpTransport {
  const options = {
    url,
    pool: true as const,
    maxConnections: CONNECTIONS_MAX,
    maxMessages: Infinity,
    // A message whose connection closed is not sent again behind our back
    maxRequeues: 0,
    connectionTimeout: CONNECT_TIMEOUT_MS,
    greetingTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SILENCE_TIMEOUT_MS,
    // Templates are text: nothing in them may name a file or an address to be read
    disableFileAccess: true,
    disableUrlAccess: true,
  };
  return nodemailer.createTransport(options);
}

/** Sends through SMTP. The only part that knows nodemailer. */
export function createSmtpProvider(
  transport: SmtpTransport,
  { callTimeoutMs = CALL_TIMEOUT_MS }: { callTimeoutMs?: number } = {},
): Provider {
  transport.use("stream", watchBody);
  return {
    send: (call) => sendMail(transport, { call, callTimeoutMs }),
    enquire: async () => ({ kind: "unanswerable" }),
  };
}

/** Set by watchBody, which sees the message that was made of these options. */
type Body = { stream?: Readable };

async function sendMail(
  transport: SmtpTransport,
  { call, callTimeoutMs }: { call: Call; callTimeoutMs: number },
): Promise<Outcome> {
  const body: Body = {};
  // nodemailer's own time-outs are about silence, and do not count the wait for a free connection
  const overdue = new AbortController();
  const timer = setTimeout(() => overdue.abort(), callTimeoutMs);
  try {
    const mail = { ...composeMail(call), body, signal: overdue.signal };
    const { messageId } = await transport.sendMail(mail);
    return { kind: "sent", providerId: messageId };
  } catch (error) {
    return smtpOutcome(readFailure(error, body));
  } finally {
    clearTimeout(timer);
  }
}

function composeMail({ delivery, address, clinic, message }: Call) {
  if (message.channel !== "email") throw new Error("Cannot mail a text message");
  const from = clinic.senders.email?.from ?? "";
  const fromAddress = /<([^<>]*)>\s*$/.exec(from)?.[1] ?? from;
  const domain = fromAddress.slice(fromAddress.lastIndexOf("@") + 1);
  return {
    from,
    // An object is taken for one address; a text with a comma in it would become two
    to: { name: oneLine(delivery.name ?? ""), address },
    subject: oneLine(message.subject),
    text: message.text,
    html: message.html,
    // The same at every attempt: a receiver may drop a repeat, and a bounce names it
    messageId: `<${delivery.id}@${domain}>`,
    headers: { "Auto-Submitted": "auto-generated" }, // RFC 3834: no out-of-office answers
  };
}

/** No line break may begin a header of its own. */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]+/gu, " ").trim();
}

/**
 * Lets us see whether the body has begun to leave: nodemailer's errors do not say so, and its stream is first read when
 * the server has answered DATA with "go ahead".
 */
function watchBody({ message, data }: MailMessage, done: () => void): void {
  const { body } = data as { body: Body };
  const createReadStream = message.createReadStream.bind(message);
  message.createReadStream = (options) => body.stream = createReadStream(options);
  done();
}

function readFailure(error: unknown, { stream }: Body): SmtpFailure {
  const { code, command, response } = error as {
    code?: string;
    command?: string;
    response?: string;
  };
  const [, status, enhanced] = /^(\d{3})(?:[ -](\d\.\d{1,3}\.\d{1,3})\b)?/.exec(response ?? "") ??
    [];
  return {
    code: code ?? "unknown",
    command: command ?? "",
    reply: [status, enhanced].filter((part) => part !== undefined).join(" "),
    bodyBegun: stream?.readableDidRead ?? false,
  };
}
