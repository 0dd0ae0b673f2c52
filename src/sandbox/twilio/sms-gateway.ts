import type { Inbox } from "../inbox.ts";
import { createRefusalCount } from "../refusal-count.ts";
import { behaviourOf, DELIVERED, type TwilioError } from "./behaviours.ts";
import type { Receipts } from "./receipts.ts";
import { countSegments } from "./segments.ts";
import { newSid, type Sms, type SmsStore } from "./sms-store.ts";

export type NewSms = {
  from: string;
  to: string;
  body: string;
  statusCallback: string | null;
};

export type SendResult =
  | { kind: "accepted"; sms: Sms }
  | { kind: "refused"; error: TwilioError }
  /** It was accepted, and the client is not to learn of it. */
  | { kind: "unclear" };

export type SmsGateway = {
  send: (sms: NewSms) => SendResult;
  /** From now on no text of `sender` is taken for `patient`, or again. */
  setOptOut: (numbers: { sender: string; patient: string }, optedOut: boolean) => void;
  /** Forgets opt-outs and what was refused. */
  clear: () => void;
};

const OPTED_OUT: TwilioError = {
  status: 400,
  code: 21610,
  message: "Attempt to send to unsubscribed recipient",
};

/** What Twilio does with a message it has understood: `behaviourOf` and the opt-outs decide. */
export function createSmsGateway(
  { inbox, store, receipts, now }: {
    inbox: Inbox;
    store: SmsStore;
    receipts: Receipts;
    now: () => Date;
  },
): SmsGateway {
  const refusals = createRefusalCount();
  const optOuts = new Set<string>();

  function accept({ from, to, body, statusCallback }: NewSms): Sms {
    const at = now();
    const sid = newSid();
    const message = inbox.add({
      channel: "sms",
      from,
      to,
      text: body,
      at: at.toISOString(),
      providerId: sid,
      ...(statusCallback === null ? {} : { statusCallback }),
      segments: countSegments(body),
      status: from.startsWith("MG") ? "accepted" : "queued",
    });
    const dates = { createdAt: at, updatedAt: at, sentAt: null };
    const sms = { sid, ...dates, errorCode: null, statusCallback, message };
    store.add(sms);
    return sms;
  }

  return {
    send: (sms) => {
      if (optOuts.has(`${sms.from} ${sms.to}`)) return { kind: "refused", error: OPTED_OUT };

      const behaviour = behaviourOf(sms);
      if (behaviour.kind === "refused" && refusals.refuses(sms.to, behaviour.times)) {
        return behaviour;
      }

      const accepted = accept(sms);
      receipts.schedule(accepted, behaviour.kind === "receipt" ? behaviour : DELIVERED);
      return behaviour.kind === "unclear" ? behaviour : { kind: "accepted", sms: accepted };
    },
    setOptOut: ({ sender, patient }, optedOut) => {
      if (optedOut) optOuts.add(`${sender} ${patient}`);
      else optOuts.delete(`${sender} ${patient}`);
    },
    clear: () => {
      refusals.clear();
      optOuts.clear();
    },
  };
}
