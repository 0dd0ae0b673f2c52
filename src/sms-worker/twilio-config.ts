import { z } from "zod";
import type { TwilioOptions } from "./twilio.ts";

export const twilioConfig = z.object({
  TWILIO_ACCOUNT_SID: z.string().regex(
    /^AC[0-9a-f]{32}$/i,
    "expected AC and 32 hexadecimal digits",
  ),
  TWILIO_AUTH_TOKEN: z.string().min(1),
  TWILIO_API_URL: z.url({
    protocol: /^https?$/,
    error: "expected an address such as http://localhost:8025, or none for Twilio's own",
  }).optional(),
});

export function twilioOptions(
  settings: z.infer<typeof twilioConfig> & { PUBLIC_URL: string },
): TwilioOptions {
  return {
    accountSid: settings.TWILIO_ACCOUNT_SID,
    authToken: settings.TWILIO_AUTH_TOKEN,
    apiUrl: settings.TWILIO_API_URL,
    statusCallbackUrl: `${settings.PUBLIC_URL}/webhooks/twilio/status`,
  };
}
