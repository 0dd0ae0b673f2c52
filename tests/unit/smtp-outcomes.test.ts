import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  findSmtpRule,
  SMTP_RULES,
  type SmtpFailure,
  smtpOutcome,
} from "../../src/shared/delivery/smtp-outcomes.ts";

const BODY = true;

/** nodemailer's code, the command, the reply, what we make of it, whether the body had begun. */
const FAILURES: [string, string, string, string[], boolean?][] = [
  // Before the server was ready
  ["EDNS", "CONN", "", ["retry", "provider_error"]],
  ["ESOCKET", "CONN", "", ["retry", "provider_error"]],
  ["ETIMEDOUT", "CONN", "", ["retry", "provider_error"]],
  ["ETLS", "STARTTLS", "", ["retry", "provider_error"]],
  ["ECONNECTION", "", "", ["retry", "provider_error"]],
  ["EABORT", "", "", ["retry", "provider_error"]],
  ["EPROTOCOL", "CONN", "554", ["retry", "provider_error"]],
  ["ECONNECTION", "EHLO", "421 4.3.2", ["retry", "provider_error"]],

  // Our account
  ["EAUTH", "AUTH PLAIN", "535 5.7.8", ["sender_unusable", "config_error"]],
  ["EAUTH", "AUTH PLAIN", "454 4.7.0", ["retry", "provider_error"]],
  ["EAUTH", "API", "", ["sender_unusable", "config_error"]],
  ["ENOAUTH", "", "", ["sender_unusable", "config_error"]],
  ["EOAUTH2", "", "", ["sender_unusable", "config_error"]],
  ["ECONFIG", "", "", ["sender_unusable", "config_error"]],
  ["EENVELOPE", "MAIL FROM", "530 5.7.0", ["sender_unusable", "config_error"]],

  // Our sender's address
  ["EENVELOPE", "MAIL FROM", "550 5.7.1", ["sender_unusable", "config_error"]],
  ["EENVELOPE", "MAIL FROM", "553", ["sender_unusable", "config_error"]],
  ["EENVELOPE", "RCPT TO", "550 5.1.8", ["sender_unusable", "config_error"]],
  ["EENVELOPE", "RCPT TO", "550 5.1.7", ["sender_unusable", "config_error"]],
  ["EENVELOPE", "MAIL FROM", "451 4.3.0", ["retry", "provider_error"]],
  ["EENVELOPE", "MAIL FROM", "552 5.3.4", ["technical_failure", "config_error"]],
  ["EENVELOPE", "MAIL FROM", "552", ["technical_failure", "config_error"]],
  ["EMESSAGE", "MAIL FROM", "", ["technical_failure", "config_error"]],

  // The patient's address
  ["EENVELOPE", "API", "", ["permanent_failure", "invalid_address"]],
  ["EENVELOPE", "RCPT TO", "550 5.1.1", ["permanent_failure", "invalid_address", "hard_bounce"]],
  ["EENVELOPE", "RCPT TO", "550 5.1.10", ["permanent_failure", "invalid_address", "hard_bounce"]],
  ["EMESSAGE", "DATA", "550 5.1.1", ["permanent_failure", "invalid_address", "hard_bounce"], BODY],
  ["EENVELOPE", "RCPT TO", "550", ["permanent_failure", "invalid_address"]],
  ["EENVELOPE", "RCPT TO", "550 5.2.1", ["permanent_failure", "invalid_address"]],
  ["EENVELOPE", "RCPT TO", "551", ["permanent_failure", "invalid_address"]],
  ["EENVELOPE", "RCPT TO", "553", ["permanent_failure", "invalid_address"]],
  ["EENVELOPE", "RCPT TO", "501", ["permanent_failure", "invalid_address"]],
  ["EENVELOPE", "RCPT TO", "552 5.2.2", ["retry", "mailbox_full"]],
  ["EENVELOPE", "RCPT TO", "452 4.2.2", ["retry", "mailbox_full"]],
  ["EENVELOPE", "RCPT TO", "552", ["retry", "mailbox_full"]],
  ["EMESSAGE", "DATA", "552 5.2.2", ["retry", "mailbox_full"], BODY],

  // Policy
  ["EENVELOPE", "RCPT TO", "550 5.7.1", ["permanent_failure", "blocked_by_carrier"]],
  ["EENVELOPE", "RCPT TO", "554", ["permanent_failure", "blocked_by_carrier"]],
  ["EMESSAGE", "DATA", "550 5.7.26", ["permanent_failure", "blocked_by_carrier"], BODY],
  ["EMESSAGE", "DATA", "554", ["permanent_failure", "blocked_by_carrier"], BODY],
  ["EMESSAGE", "DATA", "550", ["permanent_failure", "blocked_by_carrier"], BODY],

  // For now
  ["EENVELOPE", "RCPT TO", "421 4.7.0", ["retry", "provider_error"]],
  ["EENVELOPE", "RCPT TO", "450 4.2.0", ["retry", "provider_error"]],
  ["EENVELOPE", "DATA", "451", ["retry", "provider_error"]],
  ["EMESSAGE", "DATA", "452 4.3.1", ["retry", "provider_error"], BODY],
  ["EMESSAGE", "DATA", "421 4.3.2", ["retry", "provider_error"], BODY],
  ["EENVELOPE", "DATA", "503", ["retry", "provider_error"]],

  // Neither
  ["EMESSAGE", "DATA", "552", ["technical_failure", "config_error"], BODY],
  ["EENVELOPE", "DATA", "502", ["technical_failure", "provider_error"]],

  // After the body, without a word
  ["ECONNECTION", "CONN", "", ["unclear"], BODY],
  ["ESOCKET", "CONN", "", ["unclear"], BODY],
  ["ETIMEDOUT", "CONN", "", ["unclear"], BODY],
  ["EABORT", "", "", ["unclear"], BODY],
  ["EPROTOCOL", "CONN", "250", ["unclear"], BODY],
  ["EPROTOCOL", "CONN", "554", ["unclear"], BODY],
];

function failure(
  [code, command, reply, , bodyBegun = false]: (typeof FAILURES)[number],
): SmtpFailure {
  return { code, command, reply, bodyBegun };
}

describe("smtpOutcome()", () => {
  for (const row of FAILURES) {
    const [code, command, reply, expected, bodyBegun] = row;
    const when = bodyBegun ? " after the body" : "";
    test(`${[code, command, reply].join(" ")}${when}: ${expected.join(", ")}`, () => {
      const outcome = smtpOutcome(failure(row));
      const [first, ...others] = expected;
      assert.equal(outcome.kind === "refused" ? outcome.status : outcome.kind, first);
      assert.equal("reason" in outcome ? outcome.reason : undefined, others[0]);
      assert.equal("suppress" in outcome ? outcome.suppress : undefined, others[1]);
      assert.equal("code" in outcome && outcome.code, reply || code);
    });
  }

  test("every rule has its test", () => {
    const used = new Set(FAILURES.map((row) => findSmtpRule(failure(row))));
    const unused = SMTP_RULES.filter((rule) => !used.has(rule));
    assert.deepEqual(unused, []);
  });
});
