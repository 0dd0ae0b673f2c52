import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  TWILIO_CODES,
  twilioOutcome,
  twilioReceipt,
} from "../../src/shared/delivery/twilio-outcomes.ts";

/** Twilio's code, what we make of it, why, and whether the number is suppressed: the table, written a second time. */
const CODES: [number, string, string, string?][] = [
  [20003, "sender_unusable", "config_error"],
  [20005, "sender_unusable", "account_suspended"],
  [20429, "retry", "rate_limited"],
  [21211, "permanent_failure", "invalid_address", "invalid_address"],
  [21268, "permanent_failure", "invalid_address"],
  [21408, "technical_failure", "config_error"],
  [21606, "sender_unusable", "config_error"],
  [21608, "sender_unusable", "config_error"],
  [21610, "suppressed", "opted_out", "opted_out"],
  [21611, "retry", "rate_limited"],
  [21612, "permanent_failure", "unreachable"],
  [21614, "permanent_failure", "landline", "landline"],
  [21617, "technical_failure", "config_error"],
  [21635, "permanent_failure", "landline", "landline"],
  [30001, "retry", "rate_limited"],
  [30002, "sender_unusable", "account_suspended"],
  [30003, "retry", "unreachable"],
  [30004, "permanent_failure", "blocked_by_carrier"],
  [30005, "permanent_failure", "invalid_address", "invalid_address"],
  [30006, "permanent_failure", "landline", "landline"],
  [30007, "permanent_failure", "blocked_by_carrier"],
  [30008, "retry", "provider_error"],
  [30009, "technical_failure", "config_error"],
  [30010, "technical_failure", "config_error"],
  [30024, "technical_failure", "config_error"],
  [30034, "sender_unusable", "config_error"],
  [30036, "expired", "too_late"],
  [30500, "retry", "provider_error"],
  [35114, "technical_failure", "config_error"],
  [35115, "technical_failure", "config_error"],
  [60005, "retry", "provider_error"],
];

function describeOutcome(outcome: ReturnType<typeof twilioOutcome>) {
  const reason = "reason" in outcome ? outcome.reason : undefined;
  if (outcome.kind !== "refused") return [outcome.kind, reason];
  const { status, suppress } = outcome;
  return suppress === undefined ? [status, reason] : [status, reason, suppress];
}

describe("twilioOutcome()", () => {
  for (const [code, ...expected] of CODES) {
    test(`${code} as an answer: ${expected.join(", ")}`, () => {
      const status = code === 20429 ? 429 : 400;
      const outcome = twilioOutcome({ kind: "answer", status, code });
      assert.deepEqual(describeOutcome(outcome), expected);
      assert.equal("code" in outcome && outcome.code, String(code));
    });
  }

  test("every code of the table has its test", () => {
    assert.deepEqual(CODES.map(([code]) => String(code)), Object.keys(TWILIO_CODES));
  });

  const answers: [number, number | null, string, string?][] = [
    [500, 20500, "unclear"],
    [502, null, "unclear"],
    [503, 20429, "unclear"], // The status counts: it may have been taken
    [200, null, "unclear"],
    [429, null, "retry", "rate_limited"],
    [408, null, "retry", "provider_error"],
    [401, null, "sender_unusable", "config_error"],
    [403, 29999, "sender_unusable", "config_error"],
    [404, 20404, "sender_unusable", "config_error"],
    [302, null, "sender_unusable", "config_error"],
    [400, 29999, "technical_failure", "provider_error"],
    [400, null, "technical_failure", "provider_error"],
  ];
  for (const [status, code, ...expected] of answers) {
    test(`HTTP ${status} with the code ${code}: ${expected.join(", ")}`, () => {
      const outcome = describeOutcome(twilioOutcome({ kind: "answer", status, code }));
      assert.deepEqual(outcome.filter((part) => part !== undefined), expected);
    });
  }

  test("takes the pause that Twilio asks for", () => {
    const outcome = twilioOutcome({ kind: "answer", status: 429, code: 20429, afterMs: 5_000 });
    assert.equal(outcome.kind === "retry" && outcome.afterMs, 5_000);
  });

  test("a connection that broke: unclear only if the request may have arrived", () => {
    const broken = { kind: "broken", code: "ECONNRESET" } as const;
    assert.equal(twilioOutcome({ ...broken, reached: false }).kind, "retry");
    assert.equal(twilioOutcome({ ...broken, reached: true }).kind, "unclear");
  });
});

describe("twilioReceipt()", () => {
  for (const [code, ...expected] of CODES) {
    test(`${code} in a receipt: ${expected.join(", ")}`, () => {
      const receipt = twilioReceipt("undelivered", code);
      assert.ok(receipt?.kind === "failed");
      assert.deepEqual(describeOutcome(receipt.outcome), expected);
    });
  }

  const words: [string, string | undefined][] = [
    ["accepted", "taken"],
    ["queued", "taken"],
    ["sending", "taken"],
    ["sent", "taken"],
    ["delivered", "delivered"],
    ["read", "delivered"],
    ["scheduled", undefined],
    ["canceled", undefined],
    ["something new", undefined],
  ];
  for (const [word, kind] of words) {
    test(`${word}: ${kind ?? "nothing"}`, () => {
      assert.equal(twilioReceipt(word, null)?.kind, kind);
    });
  }

  test("a failure nobody has listed: technical if Twilio failed, permanent if the carrier did", () => {
    const outcomes = (["failed", "undelivered"] as const).flatMap((word) =>
      [29999, null].map((code) => {
        const receipt = twilioReceipt(word, code);
        assert.ok(receipt?.kind === "failed");
        return describeOutcome(receipt.outcome);
      })
    );
    assert.deepEqual(outcomes, [
      ["technical_failure", "provider_error"],
      ["technical_failure", "provider_error"],
      ["permanent_failure", "unreachable"],
      ["permanent_failure", "unreachable"],
    ]);
  });
});
