import { metrics } from "@opentelemetry/api";
import { PrometheusExporter, PrometheusSerializer } from "@opentelemetry/exporter-prometheus";
import { MeterProvider } from "@opentelemetry/sdk-metrics";
import type { Environment } from "./config.ts";

export type Telemetry = {
  /** What the instruments say now, in Prometheus' text format. */
  metrics: () => Promise<string>;
  stop: () => Promise<void>;
};

/**
 * Starts metrics, and traces when OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_TRACES_EXPORTER asks for them.
 *
 * No automatic instrumentation: it cost 70 % of the request rate. Deno exports traces by itself (OTEL_DENO=true).
 */
export async function startTelemetry(
  service: string,
  environment: Environment,
): Promise<Telemetry> {
  const exporter = new PrometheusExporter({ preventServerStart: true });
  const stop = await startProviders(service, exporter, environment);
  const serializer = new PrometheusSerializer("carillon");
  return {
    metrics: async () => serializer.serialize((await exporter.collect()).resourceMetrics),
    stop,
  };
}

async function startProviders(
  service: string,
  exporter: PrometheusExporter,
  environment: Environment,
): Promise<() => Promise<void>> {
  const traced = environment.OTEL_EXPORTER_OTLP_ENDPOINT ?? environment.OTEL_TRACES_EXPORTER;
  if (traced !== undefined && !("Deno" in globalThis)) {
    // Imported only when asked for: it doubles the memory of an idle service
    const { NodeSDK } = await import("@opentelemetry/sdk-node");
    const sdk = new NodeSDK({
      serviceName: environment.OTEL_SERVICE_NAME ?? service,
      metricReaders: [exporter],
      instrumentations: [],
    });
    sdk.start();
    return () => sdk.shutdown();
  }
  const provider = new MeterProvider({ readers: [exporter] });
  metrics.setGlobalMeterProvider(provider);
  return () => provider.shutdown();
}
