import type { Receipt } from "./behaviours.ts";
import type { Callbacks } from "./callbacks.ts";
import type { Sms } from "./sms-store.ts";

export type Receipts = {
  /** The message will be `sent`, and later what its last receipt says. */
  schedule: (sms: Sms, last: Receipt) => void;
  stop: () => void;
};

type Options = {
  accountSid: string;
  callbacks: Callbacks;
  now: () => Date;
  /** From being accepted to `sent`, and from there to the last receipt. */
  receiptAfterMs: number;
};

/** Moves messages from status to status, with a status callback for each step. */
export function createReceipts(
  { accountSid, callbacks, now, receiptAfterMs }: Options,
): Receipts {
  const timers = new Set<NodeJS.Timeout>();

  function later(work: () => void): void {
    const timer = setTimeout(() => {
      timers.delete(timer);
      work();
    }, receiptAfterMs);
    timers.add(timer);
  }

  function report(sms: Sms, status: string, errorCode: number | null): void {
    sms.updatedAt = now();
    sms.sentAt ??= sms.updatedAt;
    sms.errorCode = errorCode;
    sms.message.status = status;
    if (sms.statusCallback === null) return;
    callbacks.post(sms.statusCallback, {
      AccountSid: accountSid,
      ApiVersion: "2010-04-01",
      ...(errorCode === null ? {} : { ErrorCode: String(errorCode) }),
      From: sms.message.from,
      MessageSid: sms.sid,
      MessageStatus: status,
      SmsSid: sms.sid,
      SmsStatus: status,
      To: sms.message.to,
    });
  }

  return {
    schedule: (sms, { status, errorCode }) =>
      later(() => {
        report(sms, "sent", null);
        if (status !== "sent") later(() => report(sms, status, errorCode ?? null));
      }),
    stop: () => {
      for (const timer of timers) clearTimeout(timer);
    },
  };
}
