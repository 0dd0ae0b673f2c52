import { connectSmtp, createSmtpProvider } from "../../src/email-worker/smtp.ts";
import { createTwilioProvider } from "../../src/sms-worker/twilio.ts";
import { drain, type DrainParts } from "./drain.ts";
import type { Comparison } from "./measure.ts";
import { startSmtpSink, startTwilioSink } from "./sinks.ts";

const COUNT = 2_000;

/** For information: the same workers with the real adapters, before servers that take everything at once. */
export function createProviderComparisons(parts: DrainParts): Comparison[] {
  return [
    {
      name: "email worker, nodemailer to a sink",
      ours: async () => {
        const sink = await startSmtpSink();
        const transport = connectSmtp(sink.url);
        const provider = createSmtpProvider(transport);
        const rate = await drain(parts, {
          channel: "email",
          provider,
          count: COUNT,
          calls: sink.calls,
        });
        transport.close();
        sink.stop();
        return rate;
      },
    },
    {
      name: "sms worker, Twilio client to a sink",
      ours: async () => {
        const sink = await startTwilioSink();
        const provider = createTwilioProvider({
          accountSid: `AC${"0".repeat(32)}`,
          authToken: "bench-twilio-token",
          apiUrl: sink.url,
          statusCallbackUrl: "http://localhost:8080/webhooks/twilio/status",
          known: { claim: async () => null, unclaimed: async () => [] },
        });
        const rate = await drain(parts, {
          channel: "sms",
          provider,
          count: COUNT,
          calls: sink.calls,
        });
        provider.close();
        sink.stop();
        return rate;
      },
    },
  ];
}
