import type { MessageListInstance } from "twilio/lib/rest/api/v2010/account/message.js";
import type { Doubt } from "../shared/database/receipts.ts";
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

/** From the lease, how late a call may begin and how long it may take: `leftMs` and CALL_TIMEOUT_MS see to it. */
const CALL_WINDOW_MS = 60_000;

/** Twilio's own retries of our webhook: five, whatever went wrong. It is a fragment, and no part of what Twilio signs. */
const WEBHOOK_RETRIES = "#rc=5&rp=all";

/** What the ledger knows of a provider's messages. */
export type KnownMessages = {
  /** Makes one of them this delivery's; null when all are known to be others'. */
  claim: (doubt: Doubt) => Promise<string | null>;
  /** Those that are not known to be another's. */
  unclaimed: (doubt: Doubt) => Promise<readonly string[]>;
};

/** Sends through Twilio. The only part that knows its client. */
export function createTwilioProvider(
  { statusCallbackUrl, callTimeoutMs = CALL_TIMEOUT_MS, known, ...account }:
    & TwilioOptions
    & { known: KnownMessages },
): Provider & { close: () => void } {
  const http = createHttpClient({ timeoutMs: callTimeoutMs });
  const messages = connectTwilio(account, http.call);
  return { ...sendThrough(messages, { statusCallbackUrl, known }), close: http.close };
}

/** The part of Twilio's client that is used. */
export type TwilioMessages = Pick<MessageListInstance, "create" | "list">;

export function sendThrough(
  messages: TwilioMessages,
  { statusCallbackUrl, known }: { statusCallbackUrl: string; known: KnownMessages },
): Provider {
  return {
    send: (call) => sendMessage(messages, call, statusCallbackUrl),
    enquire: (call) => findMessage(messages, call, known),
  };
}

async function sendMessage(
  messages: TwilioMessages,
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
 * A message of the same minute in other words may be ours, from before a template or a name was changed, or that of
 * another delivery whose record is yet to come. It is not claimed, and nothing is sent while it is nobody's: a receipt
 * or the other record tells.
 *
 * Twilio can filter by the day of sending, which a message that still waits does not have: so the date is checked here.
 */
async function findMessage(
  messages: TwilioMessages,
  call: Call,
  known: KnownMessages,
): Promise<Enquiry> {
  const { delivery, address, message } = call;
  const { from, messagingServiceSid } = senderOf(call);
  const { id: deliveryId, attempt } = delivery;
  const since = delivery.attemptedAt.getTime() - CLOCK_SKEW_MS;
  const until = delivery.attemptedAt.getTime() + CALL_WINDOW_MS + CLOCK_SKEW_MS;
  const listed = await messages.list({
    to: address,
    pageSize: LISTED_MAX,
    limit: LISTED_MAX,
  }).catch(readFailure);
  if (!Array.isArray(listed)) {
    const outcome = twilioOutcome(listed);
    if (outcome.kind === "sender_unusable") return outcome;
    return { kind: "unavailable", code: String(listed.code ?? "http") };
  }

  const sameSender = listed.filter((candidate) =>
    from === undefined
      ? candidate.messagingServiceSid === messagingServiceSid
      : candidate.from === from
  );
  const ours = sameSender.filter(({ body, dateCreated }) =>
    body === message.text && !(Number(dateCreated) < since)
  );
  const providerId = await known.claim({ deliveryId, attempt, providerIds: ours.map(sidOf) });
  if (providerId !== null) return { kind: "found", providerId };

  const doubtful = sameSender.filter(({ body, dateCreated }) =>
    body !== message.text && !(Number(dateCreated) < since) && !(Number(dateCreated) > until)
  );
  const unclaimed = await known.unclaimed({
    deliveryId,
    attempt,
    providerIds: doubtful.map(sidOf),
  });
  return unclaimed.length === 0
    ? { kind: "not_found" }
    : { kind: "unavailable", code: "other_words" };
}

function sidOf({ sid }: { sid: string }): string {
  return sid;
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
