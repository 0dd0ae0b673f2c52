import type { MessageListInstance } from "twilio/lib/rest/api/v2010/account/message.js";
import { type Call, CALL_TIMEOUT_MS, type Provider } from "../shared/delivery/provider.ts";
import { type TwilioFailure, twilioOutcome } from "../shared/delivery/twilio-outcomes.ts";
import type { Enquiry, Outcome } from "../shared/domain/outcome.ts";
import { BrokenCall, createHttpClient } from "./http-client.ts";
import { connectTwilio, Refusal } from "./twilio-client.ts";

export type TwilioOptions = {
  accountSid: string;
  authToken: string;
  /** Where the API is; undefined: at Twilio. */
  apiUrl?: string | undefined;
  /** Receives receipts; the delivery and the attempt are added. */
  statusCallbackUrl: string;
  callTimeoutMs?: number | undefined;
};

/** Twilio's limit: ten hours. */
const VALIDITY_MAX_SECONDS = 36_000;

/** Our clock and Twilio's, and the time from the lease to the call. */
const CLOCK_SKEW_MS = 60_000;
const LISTED_MAX = 50;

/** Twilio's own retries of our webhook: five, whatever went wrong. It is a fragment, and no part of what Twilio signs. */
const WEBHOOK_RETRIES = "#rc=5&rp=all";

/** Those of the messages that another delivery is known by. */
export type FindTaken = (
  of: { deliveryId: string; providerIds: readonly string[] },
) => Promise<ReadonlySet<string>>;

/** Sends through Twilio. The only part that knows its client. */
export function createTwilioProvider(
  { statusCallbackUrl, callTimeoutMs = CALL_TIMEOUT_MS, findTaken, ...account }:
    & TwilioOptions
    & { findTaken: FindTaken },
): Provider & { close: () => void } {
  const http = createHttpClient({ timeoutMs: callTimeoutMs });
  const messages = connectTwilio(account, http.call);
  return {
    send: (call) => sendMessage(messages, call, statusCallbackUrl),
    enquire: (call) => findMessage(messages, call, findTaken),
    close: http.close,
  };
}

async function sendMessage(
  messages: MessageListInstance,
  call: Call,
  statusCallbackUrl: string,
): Promise<Outcome> {
  const { delivery, address, message, usefulMs } = call;
  try {
    const { sid } = await messages.create({
      ...senderOf(call),
      to: address,
      body: message.text,
      // A text that comes after its use is worse than none
      validityPeriod: Math.min(Math.max(Math.floor(usefulMs / 1_000), 1), VALIDITY_MAX_SECONDS),
      statusCallback:
        `${statusCallbackUrl}?delivery=${delivery.id}&attempt=${delivery.attempt}${WEBHOOK_RETRIES}`,
    });
    // Behind an answer that is not Twilio's a message may exist all the same
    if (typeof sid !== "string" || sid === "") return { kind: "unclear", code: "no_sid" };
    return { kind: "sent", providerId: sid };
  } catch (error) {
    return twilioOutcome(readFailure(error));
  }
}

/**
 * Looks for the message of an attempt in Twilio's list: to this number, from this sender, in these words, since the
 * attempt, and not known to be another delivery's.
 *
 * Twilio can filter by the day of sending, which a message that still waits does not have: so the date is checked here.
 */
async function findMessage(
  messages: MessageListInstance,
  call: Call,
  findTaken: FindTaken,
): Promise<Enquiry> {
  const { delivery, address, message } = call;
  const { from, messagingServiceSid } = senderOf(call);
  const since = delivery.attemptedAt.getTime() - CLOCK_SKEW_MS;
  const listed = await messages.list({
    to: address,
    pageSize: LISTED_MAX,
    limit: LISTED_MAX,
  }).catch(readFailure);
  if (!Array.isArray(listed)) return { kind: "unavailable", code: String(listed.code ?? "http") };

  const ours = listed.filter((candidate) =>
    candidate.body === message.text && !(Number(candidate.dateCreated) < since) &&
    (from === undefined
      ? candidate.messagingServiceSid === messagingServiceSid
      : candidate.from === from)
  ).map(({ sid }) => sid);
  const taken = await findTaken({ deliveryId: delivery.id, providerIds: ours });
  const found = ours.find((sid) => !taken.has(sid));
  return found === undefined ? { kind: "not_found" } : { kind: "found", providerId: found };
}

function senderOf({ clinic }: Call): { from?: string; messagingServiceSid?: string } {
  const from = clinic.senders.sms?.from ?? "";
  return /^MG[0-9a-f]{32}$/i.test(from) ? { messagingServiceSid: from } : { from };
}

function readFailure(error: unknown): TwilioFailure {
  if (error instanceof Refusal) return error.failure;
  if (error instanceof BrokenCall) {
    return { kind: "broken", reached: error.reached, code: error.code };
  }
  // It came after the request had left: an answer that is not what Twilio answers
  return { kind: "broken", reached: true, code: "unreadable" };
}
