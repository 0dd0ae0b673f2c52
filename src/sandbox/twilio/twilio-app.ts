import { Buffer } from "node:buffer";
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { TwilioError } from "./behaviours.ts";
import type { NewSms, SmsGateway } from "./sms-gateway.ts";
import type { Sms, SmsStore } from "./sms-store.ts";

const BODY_MAX_BYTES = 64 * 1024;
const TEXT_MAX_LETTERS = 1_600;
const VALIDITY_MAX_SECONDS = 36_000;
const PAGE_SIZE_DEFAULT = 50;
const PAGE_SIZE_MAX = 1_000;

/** Twilio's Messages resource, mounted at `/2010-04-01/Accounts`. Its answers and errors have Twilio's shape. */
export function createTwilioApp(
  { accountSid, authToken, gateway, store }: {
    accountSid: string;
    authToken: string;
    gateway: SmsGateway;
    store: SmsStore;
  },
): Hono {
  const app = new Hono();
  const credentials = `Basic ${Buffer.from(`${accountSid}:${authToken}`).toString("base64")}`;

  app.use(async (c, next) => {
    if (c.req.header("authorization") === credentials) return await next();
    return refuse(c, { status: 401, code: 20003, message: "Authenticate" });
  });
  app.post(
    `/${accountSid}/Messages.json`,
    bodyLimit({ maxSize: BODY_MAX_BYTES }),
    async (c) => {
      const sms = parseNewSms(new URLSearchParams(await c.req.text()));
      if ("code" in sms) return refuse(c, sms);

      const result = gateway.send(sms);
      switch (result.kind) {
        case "accepted":
          return c.json(describe(result.sms, accountSid), 201);
        case "refused":
          return refuse(c, result.error);
        case "unclear":
          return refuse(c, { status: 500, code: 20500, message: "Internal Server Error" });
      }
    },
  );
  app.get(`/${accountSid}/Messages.json`, (c) => {
    const page = parsePage(new URL(c.req.url).searchParams, store);
    return "code" in page ? refuse(c, page) : c.json(describePage(page, accountSid));
  });
  app.get(`/${accountSid}/Messages/:file`, (c) => {
    const sms = store.get(c.req.param("file").replace(/\.json$/, ""));
    return sms === undefined ? notFound(c) : c.json(describe(sms, accountSid));
  });
  app.all("*", notFound);

  return app;
}

function parseNewSms(form: URLSearchParams): NewSms | TwilioError {
  const from = form.get("MessagingServiceSid") ?? form.get("From") ?? "";
  const to = form.get("To") ?? "";
  const body = form.get("Body") ?? "";
  const statusCallback = form.get("StatusCallback");
  const validity = Number(form.get("ValidityPeriod") ?? VALIDITY_MAX_SECONDS);

  if (to === "") return invalid(21604, "A 'To' phone number is required.");
  if (!/^\+[1-9]\d{6,14}$/.test(to)) return invalid(21211, `Invalid 'To' Phone Number: ${to}`);
  if (from === "") return invalid(21603, "A 'From' phone number is required.");
  // A number, a short code, a Messaging Service, or a name
  if (
    !/^(\+[1-9]\d{6,14}|\d{5,6}|MG[0-9a-f]{32}|(?=.*[A-Za-z])[A-Za-z0-9 &+_-]{1,11})$/.test(from)
  ) {
    return invalid(21212, `Invalid 'From' Phone Number: ${from}`);
  }
  if (body.trim() === "") return invalid(21602, "Message body is required.");
  if (body.length > TEXT_MAX_LETTERS) {
    return invalid(21617, "The concatenated message body exceeds the 1600 character limit.");
  }
  if (!Number.isInteger(validity) || validity < 1 || validity > VALIDITY_MAX_SECONDS) {
    return invalid(21624, "Invalid validity period value");
  }
  if (statusCallback !== null && !isWebAddress(statusCallback)) {
    return invalid(21609, `The StatusCallback URL ${statusCallback} is not a valid URL.`);
  }
  return { from, to, body, statusCallback };
}

function isWebAddress(url: string): boolean {
  return /^https?:/.test(url) && URL.canParse(url);
}

type Page = { query: URLSearchParams; number: number; size: number; items: Sms[]; more: boolean };

function parsePage(query: URLSearchParams, store: SmsStore): Page | TwilioError {
  const size = Number(query.get("PageSize") ?? PAGE_SIZE_DEFAULT);
  const number = Number(query.get("Page") ?? 0);
  if (!(size >= 1 && size <= PAGE_SIZE_MAX)) {
    return invalid(20001, "Page size must be between 1 and 1000");
  }

  const from = query.get("From");
  // The names end with the operator: DateSent> is "on or after"
  const after = secondOf(query.get("DateSent>") ?? query.get("DateSent"), "from");
  const before = secondOf(query.get("DateSent<") ?? query.get("DateSent"), "until");
  if (Number.isNaN(after) || Number.isNaN(before)) {
    return invalid(20001, "DateSent must be a date such as 2026-11-22 or 2026-11-22T08:00:00Z");
  }
  const found = store.list({ to: query.get("To") }).filter((sms) => {
    const sentAt = Math.floor((sms.sentAt ?? sms.createdAt).getTime() / 1_000);
    return (from === null || sms.message.from === from) && sentAt >= after && sentAt <= before;
  });
  const token = query.get("PageToken");
  const start = token === null ? 0 : found.findIndex(({ sid }) => `PA${sid}` === token) + 1;
  const items = found.slice(start, start + size);
  return { query, number, size, items, more: start + size < found.length };
}

/** In seconds, Twilio's own precision. A date alone stands for its whole day. */
function secondOf(value: string | null, end: "from" | "until"): number {
  if (value === null) return end === "from" ? -Infinity : Infinity;
  const dayOnly = /^\d{4}-\d\d-\d\d$/.test(value);
  const time = Date.parse(dayOnly && end === "until" ? `${value}T23:59:59Z` : value);
  return Math.floor(time / 1_000);
}

function describePage(
  { query, number, size, items, more }: Page,
  accountSid: string,
): Record<string, unknown> {
  const uri = (page: number, lastOfPage?: Sms) => {
    const parameters = new URLSearchParams(query);
    parameters.set("PageSize", String(size));
    parameters.set("Page", String(page));
    if (lastOfPage === undefined) parameters.delete("PageToken");
    else parameters.set("PageToken", `PA${lastOfPage.sid}`);
    return `/2010-04-01/Accounts/${accountSid}/Messages.json?${parameters}`;
  };
  return {
    messages: items.map((sms) => describe(sms, accountSid)),
    page: number,
    page_size: size,
    start: number * size,
    end: number * size + Math.max(items.length - 1, 0),
    uri: `/2010-04-01/Accounts/${accountSid}/Messages.json?${query}`,
    first_page_uri: uri(0),
    previous_page_uri: null,
    next_page_uri: more ? uri(number + 1, items.at(-1)) : null,
  };
}

function describe(sms: Sms, accountSid: string): Record<string, unknown> {
  const { sid, message, errorCode } = sms;
  const ofService = message.from.startsWith("MG");
  const uri = `/2010-04-01/Accounts/${accountSid}/Messages/${sid}`;
  return {
    sid,
    account_sid: accountSid,
    api_version: "2010-04-01",
    body: message.text,
    date_created: rfc2822(sms.createdAt),
    date_sent: rfc2822(sms.sentAt),
    date_updated: rfc2822(sms.updatedAt),
    direction: "outbound-api",
    error_code: errorCode,
    error_message: null,
    from: ofService ? null : message.from,
    messaging_service_sid: ofService ? message.from : null,
    num_media: "0",
    num_segments: String(message.segments),
    price: null,
    price_unit: "USD",
    status: message.status,
    subresource_uris: { media: `${uri}/Media.json` },
    to: message.to,
    uri: `${uri}.json`,
  };
}

function rfc2822(date: Date | null): string | null {
  return date === null ? null : date.toUTCString().replace("GMT", "+0000");
}

function invalid(code: number, message: string): TwilioError {
  return { status: 400, code, message };
}

function notFound(c: Context): Response {
  const message = `The requested resource ${c.req.path} was not found`;
  return refuse(c, { status: 404, code: 20404, message });
}

function refuse(c: Context, { status, code, message, retryAfterSeconds }: TwilioError): Response {
  if (retryAfterSeconds !== undefined) c.header("retry-after", String(retryAfterSeconds));
  const more_info = `https://www.twilio.com/docs/errors/${code}`;
  return c.json({ code, message, more_info, status }, status);
}
