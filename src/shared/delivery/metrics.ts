import { metrics } from "@opentelemetry/api";
import type { Channel } from "../domain/delivery.ts";

const CALL_SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const LATENESS_SECONDS = [0.5, 1, 2, 5, 10, 30, 60, 120, 300, 900, 3600];

export type DeliveryMetrics = {
  /** `outcome`: what the call or the enquiry came to. */
  settled: (outcome: string) => void;
  called: (outcome: string, seconds: number) => void;
  /** From the time a delivery was due to the provider's yes. */
  late: (seconds: number) => void;
  inFlight: (change: 1 | -1) => void;
};

export function createDeliveryMetrics(channel: Channel): DeliveryMetrics {
  const meter = metrics.getMeter("carillon");
  const deliveries = meter.createCounter("deliveries", {
    description: "Attempts and enquiries, by what they came to",
  });
  const calls = meter.createHistogram("provider_call_duration", {
    unit: "s",
    advice: { explicitBucketBoundaries: CALL_SECONDS },
  });
  const lateness = meter.createHistogram("delivery_lateness", {
    description: "From due to handed over",
    unit: "s",
    advice: { explicitBucketBoundaries: LATENESS_SECONDS },
  });
  const inFlight = meter.createUpDownCounter("deliveries_in_flight");

  return {
    settled: (outcome) => deliveries.add(1, { channel, outcome }),
    called: (outcome, seconds) => calls.record(seconds, { channel, outcome }),
    late: (seconds) => lateness.record(seconds, { channel }),
    inFlight: (change) => inFlight.add(change, { channel }),
  };
}
