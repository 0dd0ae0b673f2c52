import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { z } from "zod";
import { type Channel, CHANNELS } from "../shared/domain/delivery.ts";
import type { DeliveredMessage, Inbox } from "./inbox.ts";
import { PAGE_POLICY, renderInbox, SHOWN_MAX } from "./inbox-page.ts";
import type { Keyword, Reply } from "./twilio/replies.ts";

const BODY_MAX_BYTES = 64 * 1024;

/** A mail's HTML may look as it likes; it may run nothing, load nothing and go nowhere. */
const MAIL_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:";

const NewReply = z.strictObject({
  from: z.string().min(1),
  to: z.string().min(1),
  body: z.string().min(1),
});

/** What was delivered: a page for people, JSON for tests, and the patients' answers. */
export function createInboxApp(
  { inbox, clear, receive }: {
    inbox: Inbox;
    clear: () => void;
    receive: (reply: Reply) => { sid: string; keyword: Keyword | null };
  },
): Hono {
  const app = new Hono();

  app.get("/", (c) => {
    const { channel = "", q = "" } = c.req.query();
    const found = inbox.list(channelOf(channel)).filter((message) => contains(message, q));
    const messages = found.slice(-SHOWN_MAX).reverse();
    c.header("content-security-policy", PAGE_POLICY);
    return c.html(
      renderInbox({ messages, found: found.length, total: inbox.total(), channel, search: q }),
    );
  });
  app.get("/messages", (c) => {
    const { channel } = c.req.query();
    if (channel !== undefined && channelOf(channel) === undefined) {
      return c.json({ error: `channel: "${channel}" is not one of ${CHANNELS.join(", ")}` }, 400);
    }
    c.header("x-total-count", String(inbox.total(channelOf(channel))));
    return c.json(inbox.list(channelOf(channel)));
  });
  app.delete("/messages", (c) => {
    clear();
    return c.body(null, 204);
  });
  app.get("/messages/:id/html", (c) => {
    const html = inbox.get(c.req.param("id"))?.html;
    if (html === undefined) return c.json({ error: "there is no such message with HTML" }, 404);
    c.header("content-security-policy", MAIL_POLICY);
    return c.html(html);
  });
  app.post("/sandbox/replies", bodyLimit({ maxSize: BODY_MAX_BYTES }), async (c) => {
    // Another site's page in the same browser must not answer for a patient
    if (c.req.header("sec-fetch-site") === "cross-site") {
      return c.json({ error: "answers are taken from the inbox page and from programs" }, 403);
    }
    const fromPage = isForm(c);
    const fields: unknown = await (fromPage ? c.req.parseBody() : c.req.json()).catch(() => null);
    const reply = NewReply.safeParse(fields);
    if (!reply.success) return c.json({ error: z.prettifyError(reply.error) }, 400);

    const received = receive(reply.data);
    return fromPage ? c.redirect("/", 303) : c.json(received, 202);
  });

  return app;
}

function channelOf(name: string | undefined): Channel | undefined {
  return CHANNELS.find((channel) => channel === name);
}

function contains({ from, to, subject = "", text }: DeliveredMessage, search: string): boolean {
  const wanted = search.toLowerCase();
  return [from, to, subject, text].some((field) => field.toLowerCase().includes(wanted));
}

function isForm(c: Context): boolean {
  return c.req.header("content-type")?.startsWith("application/x-www-form-urlencoded") ?? false;
}
