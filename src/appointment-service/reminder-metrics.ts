import { metrics } from "@opentelemetry/api";

export type ReminderOutcome = "claimed" | "forwarded" | "deferred" | "skipped" | "failed";

export type ReminderMetrics = {
  count: (outcome: ReminderOutcome, reminders: number) => void;
  /** How long after its due time a reminder was claimed. */
  late: (seconds: number) => void;
};

export function createReminderMetrics(): ReminderMetrics {
  const meter = metrics.getMeter("carillon");
  const reminders = meter.createCounter("reminders", {
    description: "Reminders by what a run made of them",
  });
  const lateness = meter.createHistogram("reminder_lateness", {
    description: "From a reminder's due time to its claim",
    unit: "s",
    // A run a minute: to be late by less than one is to be on time
    advice: { explicitBucketBoundaries: [15, 30, 60, 120, 300, 900, 3600, 4 * 3600] },
  });
  return {
    count: (outcome, count) => reminders.add(count, { outcome }),
    late: (seconds) => lateness.record(seconds),
  };
}
