import type { Server } from "node:http";
import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { createFhirApp } from "./fhir/fhir-app.ts";
import { createFhirStore } from "./fhir/store.ts";
import { createInbox, type DeliveredMessage } from "./inbox.ts";
import { createInboxApp } from "./inbox-app.ts";
import { generateSampleClinic } from "./sample-clinic/generate-sample-clinic.ts";
import { startSmtp } from "./smtp.ts";
import { createCallbacks } from "./twilio/callbacks.ts";
import { createReceipts } from "./twilio/receipts.ts";
import { receiveReply } from "./twilio/replies.ts";
import { createSmsGateway } from "./twilio/sms-gateway.ts";
import { createSmsStore } from "./twilio/sms-store.ts";
import { createTwilioApp } from "./twilio/twilio-app.ts";

export type SandboxOptions = {
  /** Of HTTP: FHIR, Twilio and the inbox. 0 is any free port. */
  port: number;
  smtpPort: number;
  now: () => Date;
  twilio: { accountSid: string; authToken: string };
  /** The sample clinic is generated from it and the date. */
  seed: string;
  /** Sees every message, also those that are no longer kept. */
  onMessage?: (message: DeliveredMessage) => void;
  host?: string;
  /** Where patients' texts are posted, signed as Twilio signs; null: nowhere. */
  inboundUrl?: string | null;
  /** From a text message's acceptance to `sent`, and from there to its last receipt. */
  receiptAfterMs?: number;
  /** Before a callback is tried again. Doubles each time. */
  callbackRetryAfterMs?: number;
  /** About how many messages are kept. */
  keep?: number;
};

export type Sandbox = {
  url: string;
  smtpUrl: string;
  twilioUrl: string;
  fhirUrl: string;
  /** Those still kept, oldest first, as they are now. */
  messages: () => DeliveredMessage[];
  stop: () => Promise<void>;
};

/** The world outside: a patient API with sample clinics, a mail server and Twilio, none of which reaches anybody. */
export async function startSandbox({
  port,
  smtpPort,
  now,
  twilio: { accountSid, authToken },
  seed,
  onMessage = () => {},
  host = "127.0.0.1",
  inboundUrl = null,
  receiptAfterMs = 100,
  callbackRetryAfterMs = 100,
  keep = 10_000,
}: SandboxOptions): Promise<Sandbox> {
  const inbox = createInbox({ keep, onMessage });
  const callbacks = createCallbacks({ authToken, retryAfterMs: callbackRetryAfterMs });
  const receipts = createReceipts({ accountSid, callbacks, now, receiptAfterMs });
  const store = createSmsStore(keep);
  const gateway = createSmsGateway({ inbox, store, receipts, now });
  const fhir = createFhirStore({
    generate: (today) => generateSampleClinic({ seed, today }),
    now,
  });

  const app = new Hono();
  app.route(
    "/2010-04-01/Accounts",
    createTwilioApp({ accountSid, authToken, gateway, store }),
  );
  app.route("/fhir", createFhirApp({ store: fhir, now }));
  app.route(
    "/",
    createInboxApp({
      inbox,
      clear: () => [inbox, store, gateway].forEach((part) => part.clear()),
      receive: (reply) => receiveReply({ gateway, callbacks, accountSid, inboundUrl }, reply),
    }),
  );

  const http = await listen(app, { port, host });
  const smtp = await startSmtp({ inbox, now, port: smtpPort, host }).catch(async (error) => {
    await http.stop();
    throw inUse(error, smtpPort);
  });
  const url = `http://${host}:${http.port}`;
  return {
    url,
    smtpUrl: `smtp://${host}:${smtp.port}`,
    twilioUrl: url,
    fhirUrl: `${url}/fhir`,
    messages: () => inbox.list().map((message) => ({ ...message })),
    stop: async () => {
      receipts.stop();
      callbacks.stop();
      await Promise.all([http.stop(), smtp.stop()]);
    },
  };
}

async function listen(
  app: Hono,
  { port, host }: { port: number; host: string },
): Promise<{ port: number; stop: () => Promise<void> }> {
  return await new Promise((resolve, reject) => {
    const server = serve({ fetch: app.fetch, port, hostname: host }, (address) =>
      resolve({
        port: address.port,
        stop: () =>
          new Promise((stopped) => {
            server.close(() => stopped());
            (server as Server).closeAllConnections(); // Clients keep theirs open for the next request
          }),
      }));
    server.on("error", (error: NodeJS.ErrnoException) => reject(inUse(error, port)));
  });
}

function inUse(error: NodeJS.ErrnoException, port: number): Error {
  if (error.code !== "EADDRINUSE") return error;
  return new Error(
    `Cannot start the sandbox on port ${port}: it is in use. Free it or choose another`,
  );
}
