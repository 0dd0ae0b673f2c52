/** Taken; this is the last it says, with Twilio's error code. `sent`: no further receipt comes, as with some carriers. */
export type Receipt = {
  kind: "receipt";
  status: "delivered" | "undelivered" | "failed" | "sent";
  errorCode?: number;
};

/** What becomes of a message to a number. */
export type Behaviour =
  | Receipt
  /** Not taken. `times`: only so often in a row, then taken. */
  | { kind: "refused"; error: TwilioError; times?: number }
  /** Taken and delivered, but the answer is a 500: nobody can know from it whether it was. */
  | { kind: "unclear" };

export type TwilioError = {
  status: 400 | 401 | 404 | 429 | 500;
  code: number;
  message: string;
  retryAfterSeconds?: number;
};

const refused = (code: number, message: string): Behaviour => ({
  kind: "refused",
  error: { status: 400, code, message },
});
const TOO_MANY: TwilioError = {
  status: 429,
  code: 20429,
  message: "Too Many Requests",
  retryAfterSeconds: 1,
};

/** By the last four digits, so that every country has such numbers: +1 212 555 0190, or +34 600 000 190. */
const BY_SUFFIX: Record<string, Behaviour> = {
  "0188": { kind: "receipt", status: "sent" },
  "0189": { kind: "refused", error: TOO_MANY },
  "0190": { kind: "receipt", status: "undelivered", errorCode: 30003 }, // Unreachable handset
  "0191": { kind: "receipt", status: "undelivered", errorCode: 30005 }, // Unknown handset
  "0192": { kind: "receipt", status: "undelivered", errorCode: 30006 }, // Landline
  "0193": { kind: "receipt", status: "undelivered", errorCode: 30007 }, // Filtered by the carrier
  "0194": { kind: "receipt", status: "failed", errorCode: 30008 }, // Unknown error
  "0195": { kind: "refused", error: TOO_MANY, times: 2 },
  "0196": { kind: "unclear" },
  "0197": refused(21610, "Attempt to send to unsubscribed recipient"),
  "0198": refused(21614, "'To' number is not a valid mobile number"),
  "0199": refused(21211, "Invalid 'To' Phone Number"),
};

/** Twilio's own magic numbers, those of its test credentials. */
const BY_RECIPIENT: Record<string, Behaviour> = {
  "+15005550001": refused(21211, "Invalid 'To' Phone Number"),
  "+15005550002": refused(21612, "Message cannot be sent with this 'To' and 'From' combination"),
  "+15005550003": refused(21408, "Permission to send an SMS has not been enabled for the region"),
  "+15005550004": refused(21610, "Attempt to send to unsubscribed recipient"),
  "+15005550009": refused(21614, "'To' number is not a valid mobile number"),
};

const BY_SENDER: Record<string, Behaviour> = {
  "+15005550001": refused(21212, "Invalid 'From' Phone Number"),
  "+15005550007": refused(21606, "The 'From' phone number is not a valid, SMS-capable number"),
  "+15005550008": refused(
    21611,
    "This 'From' number has exceeded the maximum number of queued messages",
  ),
};

export const DELIVERED: Receipt = { kind: "receipt", status: "delivered" };

/** Decides what a message meets. Any other fault for a test belongs here. */
export function behaviourOf({ from, to }: { from: string; to: string }): Behaviour {
  return BY_SENDER[from] ?? BY_RECIPIENT[to] ?? BY_SUFFIX[to.slice(-4)] ?? DELIVERED;
}
