import { context, metrics, propagation, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import type { MiddlewareHandler } from "hono";
import { routePath } from "hono/route";

/** What the dispatcher counts. The labels are from closed lists. */
export function createInstruments() {
  const meter = metrics.getMeter("carillon");
  return {
    submissions: meter.createCounter("notifications_submitted", {
      description: "Notifications asked for, by outcome: accepted, repeated or the problem's code",
    }),
    hints: meter.createCounter("hints", {
      description: "Hints, by source (accept, relay) and outcome (published, not_taken, left)",
    }),
    rehinted: meter.createCounter("hints_lost", {
      description: "Deliveries whose hint was lost and is given again",
    }),
    overdue: meter.createGauge("relay_overdue_seconds", {
      description: "How long the delivery that waits longest for the relay has been due",
    }),
    sendersInTrouble: meter.createGauge("senders_in_trouble", {
      description: "Senders whose account or settings are refused: what they have to send waits",
    }),
  };
}
export type Instruments = ReturnType<typeof createInstruments>;

/** One span for each request, in the caller's trace. */
export function traceRequests(): MiddlewareHandler {
  const tracer = trace.getTracer("carillon");
  return async (c, next) => {
    const caller = propagation.extract(context.active(), {
      traceparent: c.req.header("traceparent"),
      tracestate: c.req.header("tracestate"),
    });
    await tracer.startActiveSpan(
      c.req.method,
      { kind: SpanKind.SERVER },
      caller,
      async (span) => {
        try {
          await next();
          span.updateName(`${c.req.method} ${routePath(c, -1)}`);
          span.setAttribute("http.response.status_code", c.res.status);
          if (c.res.status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
        } finally {
          span.end();
        }
      },
    );
  };
}

/** The active span as W3C Trace Context, so that a delivery's trace begins with its request. */
export function currentTraceparent(): string | undefined {
  const span = trace.getActiveSpan()?.spanContext();
  if (span === undefined) return undefined;
  const flags = span.traceFlags.toString(16).padStart(2, "0");
  return `00-${span.traceId}-${span.spanId}-${flags}`;
}
