import { randomUUID } from "node:crypto";
import { Agent as HttpAgent, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import webhooks from "twilio/lib/webhooks/webhooks.js";

export type Callbacks = {
  /** Posts in the background. What cannot be delivered is forgotten, as Twilio does. */
  post: (url: string, parameters: Record<string, string>) => void;
  stop: () => void;
};

type Callback = { url: string; parameters: Record<string, string> };

const ATTEMPTS_MAX = 6;
const RETRY_AFTER_MAX_MS = 2_000;
const IN_FLIGHT_MAX = 50;
const WAITING_MAX = 100_000;
const TIMEOUT_MS = 15_000;

/** Sends Twilio's webhooks: signed forms, tried again when nobody answers or the answer is a 5xx. */
export function createCallbacks(
  { authToken, retryAfterMs }: { authToken: string; retryAfterMs: number },
): Callbacks {
  const controller = new AbortController();
  const { signal } = controller;
  const sender = createFormSender();
  let waiting: Callback[] = [];
  let next = 0; // Index of the first that waits: shifting a long array copies it each time
  let inFlight = 0;

  function startNext(): void {
    while (inFlight < IN_FLIGHT_MAX && next < waiting.length && !signal.aborted) {
      inFlight++;
      void deliver(waiting[next++] as Callback).finally(() => {
        inFlight--;
        startNext();
      });
    }
    if (next === waiting.length) {
      waiting = [];
      next = 0;
    }
  }

  async function deliver({ url, parameters }: Callback): Promise<void> {
    const form = new URLSearchParams(parameters).toString();
    const headers = {
      "content-type": "application/x-www-form-urlencoded",
      "content-length": String(form.length), // Encoded, it is all ASCII
      "x-twilio-signature": webhooks.getExpectedTwilioSignature(authToken, url, parameters),
      "i-twilio-idempotency-token": randomUUID(),
    };
    for (let attempt = 1; attempt <= ATTEMPTS_MAX && !signal.aborted; attempt++) {
      const status = await sender.send(url, { headers, form });
      // A 4xx is an answer too: sending the same again would not change it
      if (status !== null && status < 500) return;
      const pauseMs = Math.min(retryAfterMs * 2 ** (attempt - 1), RETRY_AFTER_MAX_MS);
      await sleep(pauseMs, undefined, { signal }).catch(() => {}); // Stopping ends the pause early
    }
  }

  return {
    post: (url, parameters) => {
      if (waiting.length - next >= WAITING_MAX) return;
      const [withoutFragment = ""] = url.split("#"); // Connection overrides such as #rc=5 are for Twilio alone
      waiting.push({ url: withoutFragment, parameters });
      startNext();
    },
    stop: () => {
      controller.abort();
      sender.close();
    },
  };
}

type FormSender = {
  /** The answer's status; null when there was none. */
  send: (
    url: string,
    request: { headers: Record<string, string>; form: string },
  ) => Promise<number | null>;
  /** Ends what is in flight. */
  close: () => void;
};

/** With node:http, not fetch: half the work, and a load test has two callbacks for each message. */
function createFormSender(): FormSender {
  const http = new HttpAgent({ keepAlive: true });
  const https = new HttpsAgent({ keepAlive: true });
  return {
    send: (url, { headers, form }) =>
      new Promise((resolve) => {
        const options = { method: "POST", headers, timeout: TIMEOUT_MS };
        const request = url.startsWith("https:")
          ? httpsRequest(url, { ...options, agent: https })
          : httpRequest(url, { ...options, agent: http });
        request.on("timeout", () => request.destroy());
        request.on("error", () => resolve(null));
        request.on("response", (response) => {
          response.on("error", () => resolve(null));
          response.on("end", () => resolve(response.statusCode ?? null));
          response.resume();
        });
        request.end(form);
      }),
    close: () => {
      http.destroy();
      https.destroy();
    },
  };
}
