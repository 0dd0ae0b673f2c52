// The parts of the client that messages need. The whole is 8 MB of code and 18 MB of memory, for forty products
import base from "twilio/lib/base/BaseTwilio.js";
import domain from "twilio/lib/base/Domain.js";
import RequestClient from "twilio/lib/base/RequestClient.js";
import version from "twilio/lib/base/Version.js";
import type V2010 from "twilio/lib/rest/api/V2010.js";
import message from "twilio/lib/rest/api/v2010/account/message.js";
import type { TwilioFailure } from "../shared/delivery/twilio-outcomes.ts";
import type { HttpAnswer, HttpClient } from "./http-client.ts";

/** Twilio said no. Its words are left out, for they quote the number. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly failure: TwilioFailure;

  constructor(failure: TwilioFailure) {
    super("Cannot complete a call to Twilio: it was refused");
    this.failure = failure;
  }
}

const TWILIO_URL = "https://api.twilio.com";
const API_VERSION = "2010-04-01";

/** Twilio's client for messages, on our HTTP. It repeats nothing, and throws a Refusal or what `call` throws. */
export function connectTwilio(
  { accountSid, authToken, apiUrl }: {
    accountSid: string;
    authToken: string;
    apiUrl?: string | undefined;
  },
  call: HttpClient["call"],
): message.MessageListInstance {
  const httpClient = new RequestClient({ autoRetry: false });
  httpClient.request = async ({ method, uri, headers, data, params, username, password }) => {
    const url = new URL(uri);
    if (apiUrl !== undefined) url.href = apiUrl.replace(/\/$/, "") + url.pathname;
    for (const [name, value] of Object.entries(params ?? {})) {
      url.searchParams.set(name, String(value));
    }
    const answer = await call({
      method,
      url,
      headers: {
        ...headers,
        authorization: `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`,
      },
      body: data === undefined
        ? null
        : new URLSearchParams(data as Record<string, string>).toString(),
    });
    if (answer.status < 200 || answer.status >= 300) throw new Refusal(readRefusal(answer));
    return { statusCode: answer.status, body: JSON.parse(answer.body), headers: answer.headers };
  };
  const client = new base.Client(accountSid, authToken, { httpClient });
  const api = new domain.default(client, TWILIO_URL);
  // The subclass only adds the other products
  const v2010 = new version.default(api, API_VERSION) as V2010.default;
  return message.MessageListInstance(v2010, accountSid);
}

function readRefusal({ status, headers, body }: HttpAnswer): TwilioFailure {
  const seconds = Number(headers["retry-after"]); // A date is not among Twilio's answers
  return {
    kind: "answer",
    status,
    code: readCode(body),
    ...(seconds > 0 ? { afterMs: seconds * 1_000 } : {}),
  };
}

function readCode(body: string): number | null {
  try {
    const { code } = JSON.parse(body) as { code?: unknown };
    return Number.isInteger(code) ? code as number : null;
  } catch {
    return null; // A proxy's page, not Twilio's answer
  }
}
