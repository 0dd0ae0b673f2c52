import { metrics } from "@opentelemetry/api";
import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import type postgres from "postgres";
// Not the whole package: it takes a third of a second to load, for one function
import webhooks from "twilio/lib/webhooks/webhooks.js";
import { z } from "zod";
import { pauseSender } from "../shared/database/sender-rates.ts";
import { type ReceiptFacts, suppressAddress } from "../shared/database/receipts.ts";
import { receiveReceipt } from "../shared/delivery/receive-receipt.ts";
import { TWILIO_CODES, twilioReceipt } from "../shared/delivery/twilio-outcomes.ts";
import type { Receipt } from "../shared/domain/receipt.ts";
import { describeError, type Log } from "../shared/runtime/log.ts";

const BODY_BYTES_MAX = 16 * 1024;
const RETRY_AFTER_SECONDS = "5";

/** Ours: what the worker put into the callback's address. */
const Query = z.object({ delivery: z.uuid(), attempt: z.coerce.number().int().min(1) });

/** Twilio's. It adds parameters without notice. */
const Form = z.object({
  MessageSid: z.string().regex(/^(SM|MM)[0-9a-zA-Z]{32}$/),
  MessageStatus: z.string().regex(/^[a-z_-]{1,30}$/),
  ErrorCode: z.string().regex(/^\d{1,6}$/).transform(Number).optional(),
  To: z.string().max(50).optional(),
});

/**
 * Takes Twilio's status callbacks.
 *
 * Answers 204 for whatever is genuine, so that Twilio need not come again, and 503 when nothing could be recorded, so
 * that it does.
 */
export function createTwilioWebhook(
  { sql, publicUrl, authToken, log, now = () => new Date(), random = Math.random }: {
    sql: postgres.Sql;
    /** What Twilio signs begins with it. The request's own Host is anybody's word. */
    publicUrl: string;
    authToken: string;
    log: Log;
    now?: () => Date;
    random?: () => number;
  },
): Hono {
  const app = new Hono();
  const receipts = metrics.getMeter("carillon").createCounter("receipts", {
    description: "Status callbacks, by what became of them",
  });
  const count = (outcome: string) => receipts.add(1, { channel: "sms", outcome });
  const unlisted = new Set<number>();

  const limit = bodyLimit({ maxSize: BODY_BYTES_MAX, onError: (c) => c.body(null, 413) });

  app.post("/webhooks/twilio/status", limit, async (c) => {
    const form = readForm(await c.req.text());
    const signature = c.req.header("x-twilio-signature") ?? "";
    const url = publicUrl + c.req.url.replace(/^https?:\/\/[^/?]*/, "");
    if (!webhooks.validateRequest(authToken, signature, url, form)) {
      count("forged");
      return c.body(null, 403);
    }
    const query = Query.safeParse(c.req.query());
    const fields = Form.safeParse(form);
    if (!query.success || !fields.success) {
      count("unreadable");
      return c.body(null, 204);
    }

    const { MessageSid, MessageStatus, ErrorCode = null, To } = fields.data;
    if (ErrorCode !== null && TWILIO_CODES[ErrorCode] === undefined && !unlisted.has(ErrorCode)) {
      unlisted.add(ErrorCode);
      log.error("Twilio sent an error code that is not in our table", { code: ErrorCode });
    }
    const { delivery: deliveryId, attempt } = query.data;
    const receipt = twilioReceipt(MessageStatus, ErrorCode);
    const facts = await receiveReceipt(sql, {
      deliveryId,
      attempt,
      providerId: MessageSid,
      word: MessageStatus,
      code: ErrorCode === null ? null : String(ErrorCode),
      receipt,
      now: now(),
      random: random(),
    });
    if (facts !== null) await takeNote(receipt, { facts, address: To });
    count(facts === null ? "orphan" : MessageStatus);
    return c.body(null, 204);
  });

  app.onError((error, c) => {
    count("unrecorded");
    log.error("a receipt was not recorded", describeError(error));
    return c.body(null, 503, { "retry-after": RETRY_AFTER_SECONDS });
  });

  /** What a failure means for others than this delivery: its sender, and its address. */
  async function takeNote(
    receipt: Receipt | null,
    { facts, address }: { facts: ReceiptFacts; address: string | undefined },
  ): Promise<void> {
    if (receipt?.kind !== "failed") return;
    const { outcome } = receipt;
    const { senderId, clinicId } = facts;
    if (outcome.kind === "sender_unusable") {
      log.error("sender is unusable", { sender: senderId, code: outcome.code });
      await pauseSender(sql, { senderId, reason: outcome.reason });
    }
    if (outcome.kind === "refused" && outcome.suppress !== undefined && address !== undefined) {
      const { suppress: reason, code } = outcome;
      await suppressAddress(sql, {
        clinicId,
        channel: "sms",
        address,
        reason,
        source: `sms ${code}`,
      });
    }
  }

  return app;
}

/** A repeated parameter becomes an array: so it is signed. */
function readForm(body: string): Record<string, string | string[]> {
  const form: Record<string, string | string[]> = {};
  for (const [name, value] of new URLSearchParams(body)) {
    const before = form[name];
    form[name] = before === undefined ? value : [before, value].flat();
  }
  return form;
}
