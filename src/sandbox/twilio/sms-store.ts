import { randomBytes } from "node:crypto";
import { type DeliveredMessage, dropOldest } from "../inbox.ts";

export type Sms = {
  sid: string;
  createdAt: Date;
  updatedAt: Date;
  /** Null until it has left Twilio. */
  sentAt: Date | null;
  errorCode: number | null;
  statusCallback: string | null;
  /** As the inbox shows it, with its status. */
  message: DeliveredMessage;
};

export type SmsStore = {
  add: (sms: Sms) => void;
  get: (sid: string) => Sms | undefined;
  /** Newest first. */
  list: (filter: { to: string | null }) => Sms[];
  clear: () => void;
};

/** Keeps about the last `keep` messages. Those to one number are found without a walk over all: workers ask for them. */
export function createSmsStore(keep: number): SmsStore {
  const bySid = new Map<string, Sms>();
  const byRecipient = new Map<string, Sms[]>(); // Oldest first, as in bySid

  function dropFromRecipient({ message: { to } }: Sms): void {
    const sameRecipient = byRecipient.get(to);
    sameRecipient?.shift();
    if (sameRecipient?.length === 0) byRecipient.delete(to);
  }

  return {
    add: (sms) => {
      const { to } = sms.message;
      bySid.set(sms.sid, sms);
      const sameRecipient = byRecipient.get(to);
      if (sameRecipient === undefined) byRecipient.set(to, [sms]);
      else sameRecipient.push(sms);
      dropOldest(bySid, keep, dropFromRecipient);
    },
    get: (sid) => bySid.get(sid),
    list: ({ to }) => (to === null ? [...bySid.values()] : byRecipient.get(to) ?? []).toReversed(),
    clear: () => {
      bySid.clear();
      byRecipient.clear();
    },
  };
}

export function newSid(): string {
  return `SM${randomBytes(16).toString("hex")}`;
}
