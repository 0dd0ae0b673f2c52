import type { Callbacks } from "./callbacks.ts";
import type { SmsGateway } from "./sms-gateway.ts";
import { newSid } from "./sms-store.ts";

export type Keyword = "STOP" | "START" | "HELP";

/** Single words that Twilio itself acts on. Anything longer is a message like any other. */
const KEYWORDS: Record<string, Keyword> = {
  STOP: "STOP",
  STOPALL: "STOP",
  UNSUBSCRIBE: "STOP",
  CANCEL: "STOP",
  END: "STOP",
  QUIT: "STOP",
  REVOKE: "STOP",
  OPTOUT: "STOP",
  ARRET: "STOP",
  START: "START",
  YES: "START",
  UNSTOP: "START",
  HELP: "HELP",
  INFO: "HELP",
};

export type Reply = { from: string; to: string; body: string };

/** A patient's text to a sender: Twilio remembers a STOP, and passes every text on to the webhook. */
export function receiveReply(
  { gateway, callbacks, accountSid, inboundUrl }: {
    gateway: SmsGateway;
    callbacks: Callbacks;
    accountSid: string;
    inboundUrl: string | null;
  },
  { from, to, body }: Reply,
): { sid: string; keyword: Keyword | null } {
  const sid = newSid();
  const keyword = KEYWORDS[body.trim().toUpperCase()] ?? null;
  if (keyword === "STOP" || keyword === "START") {
    gateway.setOptOut({ sender: to, patient: from }, keyword === "STOP");
  }
  if (inboundUrl !== null) {
    callbacks.post(inboundUrl, {
      AccountSid: accountSid,
      ApiVersion: "2010-04-01",
      Body: body,
      From: from,
      MessageSid: sid,
      NumMedia: "0",
      NumSegments: "1",
      ...(keyword === null ? {} : { OptOutType: keyword }),
      SmsSid: sid,
      To: to,
      ...(to.startsWith("MG") ? { MessagingServiceSid: to } : {}),
    });
  }
  return { sid, keyword };
}
