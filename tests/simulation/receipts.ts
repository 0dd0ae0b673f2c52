import webhooks from "twilio/lib/webhooks/webhooks.js";
import type { Message } from "./history.ts";
import type { Network } from "./network.ts";
import type { Simulation } from "./simulation.ts";

export const PUBLIC_URL = "https://notify.example.test";
export const TWILIO_TOKEN = "simulated";

/** Twilio comes again that often when it gets no answer it likes. */
const TRIES_MAX = 6;
const FAILURES = [
  "30003",
  "30003",
  "30008",
  "30008",
  "30005",
  "30006",
  "30034",
  "30036",
  "21610",
  null,
];

/**
 * Reports of a text message what Twilio would: in any order, early, late, twice or never. Now and then one that has
 * failed turns out to have arrived.
 */
export function reportMessage(
  { random, timeline, faults }: Simulation,
  { message, network }: { message: Message; network: Network },
): void {
  function post(word: string, code: string | null, tries = TRIES_MAX): void {
    const { deliveryId, attempt, providerId } = message;
    const path = `/webhooks/twilio/status?delivery=${deliveryId}&attempt=${attempt}`;
    const form = {
      MessageSid: providerId,
      MessageStatus: word,
      To: message.to,
      ...code !== null && { ErrorCode: code },
    };
    const signature = webhooks.getExpectedTwilioSignature(TWILIO_TOKEN, PUBLIC_URL + path, form);
    const headers = {
      "x-twilio-signature": signature,
      "content-type": "application/x-www-form-urlencoded",
    };
    const body = new URLSearchParams(form).toString();
    void network.request(path, { method: "POST", headers, body }).then((reply) => {
      if (reply?.status === 204 || tries === 1) return;
      timeline.after(random.between(1_000, 60_000), () => post(word, code, tries - 1));
    });
  }

  function report(word: string, code: string | null, ms: number): void {
    if (random.chance(faults.receiptLost)) return;
    timeline.after(ms, () => {
      if (word === "delivered") message.reportedDelivered = true;
      if (word === "failed" || word === "undelivered") {
        message.reportedFailed = true;
      }
      post(word, code);
      if (random.chance(faults.receiptDoubled)) {
        timeline.after(random.between(1, 60_000), () => post(word, code));
      }
    });
  }

  const delay = () => random.pick([1, 50, 2_000, 60_000, 600_000]) * random.between(0.5, 1);
  if (random.chance(0.3)) report("queued", null, delay());
  if (random.chance(0.5)) report("sent", null, delay());
  if (random.chance(faults.receiptFails)) {
    const failedAfter = delay();
    report(random.pick(["failed", "undelivered"]), random.pick(FAILURES), failedAfter);
    if (random.chance(0.6)) report("delivered", null, failedAfter + delay());
  } else {
    report("delivered", null, delay());
  }
}
