import type { Outcome, Refused, Retry, SenderUnusable } from "../domain/outcome.ts";

/** What an SMTP client's error says, without its text: texts quote addresses. */
export type SmtpFailure = {
  /** nodemailer's code: ECONNECTION, EAUTH, EENVELOPE … */
  code: string;
  /** The command that was answered, such as "RCPT TO"; "CONN" for the connection; "API" when none was sent. */
  command: string;
  /** The reply's code and, if it has one, its enhanced status (RFC 3463): "550" or "550 5.1.1". Empty without a reply. */
  reply: string;
  /** The server had said "go ahead" and the message was on its way. */
  bodyBegun: boolean;
};

type Verdict =
  | Omit<Retry, "code">
  | Omit<Refused, "code">
  | Omit<SenderUnusable, "code">
  | { kind: "unclear" };

type Rule = {
  code?: RegExp;
  command?: RegExp;
  reply?: RegExp;
  bodyBegun?: boolean;
  verdict: Verdict;
};

const tryAgain: Verdict = { kind: "retry", reason: "provider_error" };
const mailboxFull: Verdict = { kind: "retry", reason: "mailbox_full" };
const misconfigured: Verdict = { kind: "sender_unusable", reason: "config_error" };
const ourFault: Verdict = { kind: "refused", status: "technical_failure", reason: "config_error" };
const unclear: Verdict = { kind: "unclear" };
const blocked: Verdict = {
  kind: "refused",
  status: "permanent_failure",
  reason: "blocked_by_carrier",
};
const wrongAddress: Verdict = {
  kind: "refused",
  status: "permanent_failure",
  reason: "invalid_address",
};

/** The first rule that fits counts. Each has its test. */
export const SMTP_RULES: readonly Rule[] = [
  // After the body only a reply says what became of it
  { bodyBegun: true, reply: /^(?![45])/, verdict: unclear },
  { bodyBegun: true, code: /^EPROTOCOL$/, verdict: unclear }, // A reply to something else

  // Our own account: nothing of this sender can leave
  { code: /^EAUTH$/, reply: /^4/, verdict: tryAgain },
  { code: /^(EAUTH|ENOAUTH|EOAUTH2|ECONFIG)$/, verdict: misconfigured },
  { reply: /^53[0458]/, verdict: misconfigured },

  // Refused on our side of the line
  { code: /^EENVELOPE$/, command: /^API$/, verdict: wrongAddress },
  { code: /^EMESSAGE$/, reply: /^$/, verdict: ourFault }, // Larger than the server said it takes

  // Mailboxes and senders, by their enhanced status: it says the same at every server
  { reply: /^\d+ [45]\.2\.2$/, verdict: mailboxFull },
  { reply: /^4/, verdict: tryAgain },
  { reply: /^503/, verdict: tryAgain }, // The session was in the wrong state, not the message
  { reply: /^\d+ 5\.1\.[78]$/, verdict: misconfigured }, // The sender's address, not the recipient's
  { reply: /^\d+ 5\.1\./, verdict: { ...wrongAddress, suppress: "hard_bounce" } },
  { reply: /^\d+ 5\.3\.4$/, verdict: ourFault }, // Too large
  { command: /^MAIL FROM$/, reply: /^552/, verdict: ourFault },
  { command: /^MAIL FROM$/, reply: /^5/, verdict: misconfigured },
  { reply: /^\d+ 5\.7\./, verdict: blocked }, // Policy: the patient's address is not at fault

  // Servers use bare codes loosely: these fail the delivery and suppress nothing
  { command: /^RCPT TO$/, reply: /^552/, verdict: mailboxFull },
  { command: /^RCPT TO$/, reply: /^55[013]/, verdict: wrongAddress },
  { command: /^RCPT TO$/, reply: /^501/, verdict: wrongAddress },
  { command: /^(RCPT TO|DATA)$/, reply: /^55[04]/, verdict: blocked },
  { command: /^DATA$/, reply: /^552/, verdict: ourFault },
  {
    command: /^(RCPT TO|DATA)$/,
    reply: /^5/,
    verdict: { kind: "refused", status: "technical_failure", reason: "provider_error" },
  },
];

/** Nothing of the message has left otherwise: no name, no connection, no TLS, no greeting, a refusal at the door. */
const OTHERWISE: Verdict = tryAgain;

export function smtpOutcome(failure: SmtpFailure): Outcome {
  const { verdict } = findSmtpRule(failure) ?? { verdict: OTHERWISE };
  return { ...verdict, code: failure.reply || failure.code };
}

export function findSmtpRule(failure: SmtpFailure): Rule | undefined {
  return SMTP_RULES.find(({ code, command, reply, bodyBegun = failure.bodyBegun }) =>
    (code?.test(failure.code) ?? true) && (command?.test(failure.command) ?? true) &&
    (reply?.test(failure.reply) ?? true) && bodyBegun === failure.bodyBegun
  );
}
