/** What becomes of a mail to an address. */
export type MailBehaviour =
  | { kind: "delivered" }
  /** Refused at RCPT TO, or after the text. `times`: only so often in a row, then delivered. */
  | { kind: "refused"; at: "recipient" | "text"; code: number; message: string; times?: number }
  /** The connection ends after the text without an answer: nobody can know whether the mail was taken. */
  | { kind: "unanswered"; delivered: boolean };

const refused = (code: number, message: string, at: "recipient" | "text" = "recipient") => ({
  kind: "refused" as const,
  at,
  code,
  message,
});

/** By local part. What follows a plus sign is free: bounce-550+anna@example.org. */
const BY_LOCAL_PART: Record<string, MailBehaviour> = {
  "bounce-550": refused(550, "5.1.1 No such user"),
  "bounce-552": refused(552, "5.2.2 Mailbox full"),
  "bounce-554": refused(554, "5.7.1 Refused by policy"),
  "defer-421": refused(421, "4.3.2 Shutting down"), // And closes the connection
  "defer-450": refused(450, "4.2.1 Mailbox busy"),
  "defer-451": refused(451, "4.3.0 Try again later"),
  "defer-452": refused(452, "4.2.2 Mailbox full"),
  "defer-twice": { ...refused(451, "4.3.0 Try again later"), times: 2 },
  "text-451": refused(451, "4.3.0 Try again later", "text"),
  "text-554": refused(554, "5.6.0 Content refused", "text"),
  "unanswered-delivered": { kind: "unanswered", delivered: true },
  "unanswered-lost": { kind: "unanswered", delivered: false },
};

/** Decides what a mail meets. Any other fault for a test belongs here. */
export function mailBehaviourOf(address: string): MailBehaviour {
  const localPart = address.toLowerCase().split(/[+@]/)[0] ?? "";
  return BY_LOCAL_PART[localPart] ?? { kind: "delivered" };
}
