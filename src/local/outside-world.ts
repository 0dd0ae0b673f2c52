import { type Sandbox, startSandbox } from "../sandbox/start-sandbox.ts";
import type { Settings } from "./settings.ts";

const SAMPLE_SEED = "carillon";

/** Where the services find the patient API, the mail server and the text message provider. */
export type OutsideWorld = {
  fhirUrl: string;
  smtpUrl: string;
  /** Null: Twilio's own address. */
  twilioUrl: string | null;
  /** Null when every part is a real one. */
  sandbox: Sandbox | null;
};

/** Takes the real parts that the settings name, and the sandbox for the others. */
export async function openOutsideWorld(settings: Settings): Promise<OutsideWorld> {
  const { FHIR_BASE_URL: fhirUrl, SMTP_URL: smtpUrl, twilioIsReal } = settings;
  const allReal = fhirUrl !== undefined && smtpUrl !== undefined && twilioIsReal;
  const sandbox = allReal ? null : await startSandbox({
    port: settings.SANDBOX_PORT,
    smtpPort: settings.SANDBOX_SMTP_PORT,
    now: () => new Date(),
    twilio: { accountSid: settings.TWILIO_ACCOUNT_SID, authToken: settings.TWILIO_AUTH_TOKEN },
    seed: SAMPLE_SEED,
  });
  return {
    fhirUrl: fhirUrl ?? sandbox?.fhirUrl ?? "",
    smtpUrl: smtpUrl ?? sandbox?.smtpUrl ?? "",
    twilioUrl: twilioIsReal ? settings.TWILIO_API_URL ?? null : sandbox?.twilioUrl ?? null,
    sandbox,
  };
}
