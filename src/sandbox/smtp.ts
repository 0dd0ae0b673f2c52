import { Buffer } from "node:buffer";
import type { AddressInfo } from "node:net";
import { type ParsedMail, simpleParser } from "mailparser";
import { SMTPServer, type SMTPServerDataStream, type SMTPServerSession } from "smtp-server";
import type { DeliveredMessage, Inbox } from "./inbox.ts";
import { createRefusalCount } from "./refusal-count.ts";
import { mailBehaviourOf } from "./smtp-behaviours.ts";

const MAIL_MAX_BYTES = 1024 * 1024;
const CLIENTS_MAX = 200;
/** Idle connections of a client's pool are cut this long after the server was asked to stop. */
const CLOSE_TIMEOUT_MS = 100;

type Refusal = Error & { responseCode: number };

/** An SMTP server that delivers to the inbox. Any credentials are accepted, and none are needed; it speaks no TLS. */
export async function startSmtp(
  { inbox, now, port, host }: { inbox: Inbox; now: () => Date; port: number; host: string },
): Promise<{ port: number; stop: () => Promise<void> }> {
  const refusals = createRefusalCount();

  const server = new SMTPServer({
    authOptional: true,
    allowInsecureAuth: true,
    disabledCommands: ["STARTTLS"],
    disableReverseLookup: true,
    hideENHANCEDSTATUSCODES: true, // The behaviours bring their own
    size: MAIL_MAX_BYTES,
    maxClients: CLIENTS_MAX,
    closeTimeout: CLOSE_TIMEOUT_MS,
    onAuth: ({ username }, _session, done) => done(null, { user: username ?? "anonymous" }),
    onRcptTo: ({ address }, _session, done) => done(refusalOf(address, "recipient")),
    onData: (stream, session, done) => void receive(stream, session).then(() => done(), done),
  });

  async function receive(stream: SMTPServerDataStream, session: SMTPServerSession): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    if (stream.sizeExceeded) throw refusal(552, "5.3.4 Message too big");

    const addresses = session.envelope.rcptTo.map(({ address }) => address);
    for (const address of addresses) {
      const refused = refusalOf(address, "text");
      if (refused !== null) throw refused;
    }
    const unanswered = addresses.map(mailBehaviourOf).find((behaviour) =>
      behaviour.kind === "unanswered"
    );
    if (unanswered?.delivered !== false) {
      const mail = await simpleParser(Buffer.concat(chunks), {
        skipHtmlToText: true,
        skipTextToHtml: true,
        skipImageLinks: true,
      });
      inbox.add(describe(mail, { to: addresses.join(", "), at: now().toISOString() }));
    }
    if (unanswered === undefined) return;
    for (const connection of server.connections) {
      if (connection.id === session.id) connection.close();
    }
  }

  function refusalOf(address: string, at: "recipient" | "text"): Refusal | null {
    const behaviour = mailBehaviourOf(address);
    if (behaviour.kind !== "refused" || behaviour.at !== at) return null;
    return refusals.refuses(address, behaviour.times)
      ? refusal(behaviour.code, behaviour.message)
      : null;
  }

  server.on("error", () => {}); // A client that hangs up in the middle is its own affair
  await new Promise<void>((resolve, reject) => {
    server.server.once("error", reject);
    server.listen(port, host, resolve);
  });
  return {
    port: (server.server.address() as AddressInfo).port,
    stop: () => new Promise((resolve) => server.close(resolve)),
  };
}

function refusal(responseCode: number, message: string): Refusal {
  return Object.assign(new Error(message), { responseCode });
}

function describe(
  { from, subject, text, html, messageId, headerLines, attachments }: ParsedMail,
  { to, at }: { to: string; at: string },
): Omit<DeliveredMessage, "id"> {
  return {
    channel: "email",
    from: from?.text ?? "",
    to,
    subject: subject ?? "",
    text: text ?? "",
    ...(typeof html === "string" ? { html } : {}),
    at,
    providerId: messageId ?? "",
    headers: Object.fromEntries(
      headerLines.map((
        { key, line },
      ) => [key, line.slice(key.length + 1).replace(/\s+/g, " ").trim()]),
    ),
    attachments: attachments.map(({ filename }) => filename ?? "unnamed"),
    status: "delivered",
  };
}
