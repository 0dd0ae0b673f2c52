import { context, propagation, SpanKind, trace } from "@opentelemetry/api";
import type { Hint } from "../messaging/queue.ts";

/** Runs a delivery in a span of the request's trace. Costs next to nothing while tracing is off. */
export async function traceDelivery<Result>(
  { deliveryId, channel, traceparent }: Hint,
  work: () => Promise<Result>,
): Promise<Result> {
  if (traceparent === undefined) return await work();
  const parent = propagation.extract(context.active(), { traceparent });
  const options = { kind: SpanKind.CONSUMER, attributes: { "delivery.id": deliveryId } };
  const tracer = trace.getTracer("carillon");
  return await tracer.startActiveSpan(`deliver ${channel}`, options, parent, async (span) => {
    try {
      return await work();
    } finally {
      span.end();
    }
  });
}
