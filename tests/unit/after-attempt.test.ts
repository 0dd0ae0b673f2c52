import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  afterAttempt,
  afterEnquiry,
  type AttemptContext,
  ENQUIRIES_MAX,
  UNCLEAR_EMAILS_MAX,
} from "../../src/shared/domain/after-attempt.ts";
import type { Enquiry, Outcome, Retry } from "../../src/shared/domain/outcome.ts";
import { CALLS_MAX } from "../../src/shared/domain/retry-delay.ts";

const NOW = new Date("2026-03-02T09:00:00Z");
const MINUTE = 60;

function after(outcome: Outcome, changes: Partial<AttemptContext> = {}) {
  return afterAttempt(outcome, {
    failures: 0,
    now: NOW,
    expiresAt: new Date("2026-03-09T09:00:00Z"),
    random: 0.5,
    ...changes,
  });
}

function afterAsking(
  enquiry: Enquiry,
  changes: Partial<Parameters<typeof afterEnquiry>[1]> = {},
) {
  return afterEnquiry(enquiry, {
    failures: 0,
    enquiries: 0,
    now: NOW,
    expiresAt: new Date("2026-03-09T09:00:00Z"),
    random: 0.5,
    policy: "repeat",
    ...changes,
  });
}

function secondsLater(date: Date | null): number {
  return ((date?.getTime() ?? NaN) - NOW.getTime()) / 1_000;
}

const retry = (changes: Partial<Retry> = {}): Retry => ({
  kind: "retry",
  reason: "provider_error",
  code: "503",
  ...changes,
});

describe("afterAttempt()", () => {
  test("records what was sent, under the provider's id", () => {
    const { status, providerId, failed } = after({ kind: "sent", providerId: "SM1" });
    assert.deepEqual([status, providerId, failed], ["sent", "SM1", false]);
  });

  test("tries again after half a minute, doubled up to half an hour", () => {
    const delays = [0, 1, 2, 5, 6, 14].map((failures) =>
      secondsLater(after(retry(), { failures }).dueAt)
    );
    assert.deepEqual(delays, [30, 60, 120, 16 * MINUTE, 30 * MINUTE, 30 * MINUTE]);
    const { status, failed, providerCode } = after(retry());
    assert.deepEqual([status, failed, providerCode], ["scheduled", true, "503"]);
  });

  test("spreads what failed together, a fifth either way", () => {
    const delays = [0, 1].map((random) => secondsLater(after(retry(), { random }).dueAt));
    assert.deepEqual(delays, [24, 36]);
  });

  test("waits as long as the provider asks, but no more than an hour", () => {
    const delays = [5, 300, 86_400].map((seconds) =>
      secondsLater(after(retry({ afterMs: seconds * 1_000 })).dueAt)
    );
    assert.deepEqual(delays, [30, 300, 60 * MINUTE]);
  });

  test("gives up after so many failures, with the reason", () => {
    const last = after(retry(), { failures: CALLS_MAX - 1 });
    assert.deepEqual([last.status, last.reason, last.dueAt], [
      "technical_failure",
      "provider_error",
      null,
    ]);
    assert.equal(after(retry(), { failures: CALLS_MAX - 2 }).status, "scheduled");
  });

  test("tries less often where the provider's answer says so", () => {
    assert.equal(after(retry({ callsMax: 2 })).status, "scheduled");
    assert.equal(after(retry({ callsMax: 2 }), { failures: 1 }).status, "technical_failure");
  });

  for (const reason of ["unreachable", "mailbox_full"] as const) {
    test(`${reason}: waits half an hour, then two, then gives up for now`, () => {
      const tries = [0, 1, 2].map((failures) => after(retry({ reason }), { failures }));
      assert.deepEqual(tries.map(({ status }) => status), [
        "scheduled",
        "scheduled",
        "temporary_failure",
      ]);
      assert.deepEqual(tries.slice(0, 2).map(({ dueAt }) => secondsLater(dueAt)), [
        30 * MINUTE,
        120 * MINUTE,
      ]);
      assert.equal(tries[2]?.reason, reason);
    });
  }

  test("fails with what kept it when the next try would come too late", () => {
    const soon = new Date(NOW.getTime() + 30_000);
    const { status, reason } = after(retry(), { expiresAt: soon });
    assert.deepEqual([status, reason], ["technical_failure", "provider_error"]);
    const later = new Date(NOW.getTime() + 30_001);
    assert.equal(after(retry(), { expiresAt: later }).status, "scheduled");
  });

  test("expires when it is too late already", () => {
    const { status, reason } = after(retry(), { expiresAt: NOW });
    assert.deepEqual([status, reason], ["expired", "too_late"]);
  });

  test("takes over a refusal", () => {
    const { status, reason, providerCode } = after({
      kind: "refused",
      status: "permanent_failure",
      reason: "landline",
      code: "21614",
    });
    assert.deepEqual([status, reason, providerCode], ["permanent_failure", "landline", "21614"]);
  });

  test("keeps what an unusable sender could not send, and counts no failure", () => {
    const { status, dueAt, failed } = after({
      kind: "sender_unusable",
      reason: "config_error",
      code: "20003",
    });
    assert.deepEqual([status, dueAt, failed], ["scheduled", NOW, false]);
  });

  test("keeps what was not called", () => {
    const { status, dueAt, failed } = after({ kind: "not_called" });
    assert.deepEqual([status, dueAt, failed], ["scheduled", NOW, false]);
  });

  test("asks about an unclear one in half a minute, and counts no failure yet", () => {
    const { status, dueAt, failed } = after({ kind: "unclear", code: "ETIMEDOUT" });
    assert.deepEqual([status, secondsLater(dueAt), failed], ["unknown", 30, false]);
  });
});

describe("afterEnquiry()", () => {
  test("records what the provider has", () => {
    const { status, providerId } = afterAsking({ kind: "found", providerId: "SM1" });
    assert.deepEqual([status, providerId], ["sent", "SM1"]);
  });

  test("sends again what the provider knows nothing of, and counts a failure", () => {
    const { status, dueAt, failed } = afterAsking({ kind: "not_found" });
    assert.deepEqual([status, dueAt, failed], ["scheduled", NOW, true]);
  });

  test("does not send again for ever", () => {
    const { status, reason } = afterAsking({ kind: "not_found" }, { failures: CALLS_MAX - 1 });
    assert.deepEqual([status, reason], ["technical_failure", "provider_error"]);
  });

  test("asks again, ever later, while the provider cannot be asked", () => {
    const delays = [0, 1, 10].map((enquiries) => {
      const { status, dueAt, enquired, failed } = afterAsking(
        { kind: "unavailable", code: "http_503" },
        { enquiries },
      );
      assert.deepEqual([status, enquired, failed], ["unknown", true, false]);
      return secondsLater(dueAt);
    });
    assert.deepEqual(delays, [30, 60, 30 * MINUTE]);
  });

  test("leaves it to a person when the provider could not be asked for hours", () => {
    const { status, reason } = afterAsking(
      { kind: "unavailable", code: "http_503" },
      { enquiries: ENQUIRIES_MAX - 1 },
    );
    assert.deepEqual([status, reason], ["technical_failure", "ambiguous_unresolved"]);
  });

  test("follows the clinic's policy where nobody can be asked", () => {
    const repeated = afterAsking({ kind: "unanswerable" }, { policy: "repeat" });
    assert.deepEqual([repeated.status, repeated.failed], ["scheduled", true]);
    const held = afterAsking({ kind: "unanswerable" }, { policy: "hold" });
    assert.deepEqual([held.status, held.reason], ["technical_failure", "ambiguous_unresolved"]);
  });

  test("repeats an unclear email only so often", () => {
    const { reason } = afterAsking({ kind: "unanswerable" }, { failures: UNCLEAR_EMAILS_MAX - 1 });
    assert.equal(reason, "ambiguous_unresolved");
  });
});
