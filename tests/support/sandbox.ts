import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after } from "node:test";
import twilio from "twilio";
import {
  type Sandbox,
  type SandboxOptions,
  startSandbox,
} from "../../src/sandbox/start-sandbox.ts";

export const ACCOUNT_SID = "AC00000000000000000000000000000001";
export const AUTH_TOKEN = "test-auth-token";

/** A sandbox on free ports, stopped after the test file. */
export async function startTestSandbox(options: Partial<SandboxOptions> = {}): Promise<Sandbox> {
  const sandbox = await startSandbox({
    port: 0,
    smtpPort: 0,
    now: () => new Date(),
    twilio: { accountSid: ACCOUNT_SID, authToken: AUTH_TOKEN },
    seed: "carillon",
    receiptAfterMs: 5,
    callbackRetryAfterMs: 5,
    ...options,
  });
  after(() => sandbox.stop());
  return sandbox;
}

/** Twilio's own client, sent to `url`. */
export function connectTwilio(url: string, authToken = AUTH_TOKEN): twilio.Twilio {
  const httpClient = new twilio.RequestClient({ keepAlive: false });
  const toTwilio = httpClient.request.bind(httpClient);
  httpClient.request = (options) =>
    toTwilio({ ...options, uri: options.uri.replace("https://api.twilio.com", url) });
  return twilio(ACCOUNT_SID, authToken, { httpClient });
}

/** A Spanish mobile number of this test alone, that nothing is wrong with. */
export function newNumber(): string {
  return `+346${randomInt(10_000, 99_999)}${randomInt(200, 999)}`;
}

/** One with an ending that means something to the sandbox. */
export function numberEnding(ending: string): string {
  return `+346${randomInt(1_000, 9_999)}${ending}`;
}

/** What Twilio's client threw. */
export async function refusal(work: Promise<unknown>): Promise<{ status: number; code: number }> {
  const { status, code } = await work.then(
    () => assert.fail("the sandbox took it"),
    (error) => error,
  );
  return { status, code };
}

export type WebhookCall = { url: string; form: Record<string, string>; signature: string };

export type Webhook = {
  url: string;
  calls: WebhookCall[];
  /** The status of each answer to come; 204 when there is none left. */
  answers: number[];
};

/** Receives callbacks as a service would, closed after the test file. */
export async function startWebhook(): Promise<Webhook> {
  const webhook: Webhook = { url: "", calls: [], answers: [] };
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    webhook.calls.push({
      url: `http://${request.headers.host}${request.url}`,
      form: Object.fromEntries(new URLSearchParams(body)),
      signature: String(request.headers["x-twilio-signature"]),
    });
    response.writeHead(webhook.answers.shift() ?? 204).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  webhook.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  return webhook;
}
