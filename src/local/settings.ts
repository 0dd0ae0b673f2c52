import { z } from "zod";
import {
  brokerConfig,
  clinicsConfig,
  databaseConfig,
  type Environment,
  parseConfig,
} from "../shared/runtime/config.ts";

const port = (fallback: number) => z.coerce.number().int().min(0).max(65_535).default(fallback);

/** Everything has a default: what is not set runs inside this process, and nothing leaves the machine. */
const Settings = z.object({
  ...databaseConfig.partial().shape,
  ...brokerConfig.partial().shape,
  ...clinicsConfig.shape,
  PORT: port(8080),
  APPOINTMENT_SERVICE_PORT: port(8081),
  SANDBOX_PORT: port(8025),
  SANDBOX_SMTP_PORT: port(1025),
  PUBLIC_URL: z.url().optional(),
  SMTP_URL: z.url({ protocol: /^smtps?$/ }).optional(),
  TWILIO_ACCOUNT_SID: z.string().default("AC00000000000000000000000000000000"),
  TWILIO_AUTH_TOKEN: z.string().default("carillon-local-twilio-token"),
  TWILIO_API_URL: z.url().optional(),
  FHIR_BASE_URL: z.url().optional(),
  FHIR_TOKEN: z.string().optional(),
  CLIENTS_FILE: z.string().optional(),
  DISPATCHER_API_KEY: z.string().default("carillon-local-service"),
  APPOINTMENT_SERVICE_TOKEN: z.string().default("carillon-local-operator"),
  /** Where the embedded database keeps its data. */
  STATE_DIR: z.string().default(".carillon"),
});

export type Settings = z.infer<typeof Settings> & {
  /** Text messages leave through TWILIO_API_URL, or Twilio's own address, rather than into the sandbox. */
  twilioIsReal: boolean;
};

export function parseSettings(environment: Environment): Settings {
  const settings = parseConfig(Settings, environment);
  if (settings.CLIENTS_FILE !== undefined && environment.DISPATCHER_API_KEY === undefined) {
    throw new Error(
      "Cannot start with this environment:\n  DISPATCHER_API_KEY: is not set, and CLIENTS_FILE replaces the local keys. " +
        'Set it to the key of a client of that file whose clinic is "*"',
    );
  }
  if (
    environment.TWILIO_ACCOUNT_SID !== undefined && !settings.TWILIO_API_URL &&
    !settings.FHIR_BASE_URL
  ) {
    throw new Error(
      "Cannot send texts to the sample patients through Twilio: their numbers may be somebody's. " +
        "Set FHIR_BASE_URL to a patient API, or TWILIO_API_URL to a test server",
    );
  }
  const twilioIsReal = ["TWILIO_ACCOUNT_SID", "TWILIO_ACCOUNT_SID_FILE", "TWILIO_API_URL"]
    .some((name) => environment[name] !== undefined);
  return { ...settings, twilioIsReal };
}
