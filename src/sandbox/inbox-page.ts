import { createHash } from "node:crypto";
import { html, raw } from "hono/html";
import type { DeliveredMessage } from "./inbox.ts";

/** The page shows this many at most: the newest. */
export const SHOWN_MAX = 200;

const REFRESH_SCRIPT = `
  // Not while somebody types or answers: the page would lose it
  setInterval(() => {
    const busy = document.activeElement?.matches("input, select") || document.querySelector("details[open]");
    if (!busy && !document.hidden) location.reload();
  }, 5_000);
`;

const STYLE = `
  :root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); --soft: color-mix(in srgb, currentColor 62%, transparent); }
  * { box-sizing: border-box; }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 0 auto; padding: 1rem; }
  h1 { font-size: 1.4rem; margin: 0; }
  p { margin: .25rem 0; }
  form { display: flex; flex-wrap: wrap; gap: .5rem; margin: .75rem 0; }
  input, select, button { font: inherit; padding: .4rem .6rem; border: 1px solid var(--line); border-radius: .4rem; background: transparent; color: inherit; }
  option { background: Canvas; color: CanvasText; }
  input { flex: 1 1 10rem; min-width: 0; }
  button { cursor: pointer; }
  ol { list-style: none; margin: 0; padding: 0; }
  li { border-top: 1px solid var(--line); padding: .75rem 0; overflow-wrap: anywhere; }
  .about { color: var(--soft); font-size: .875rem; }
  .channel { border: 1px solid var(--line); border-radius: .4rem; padding: 0 .4rem; margin-right: .25rem; }
  .failed { color: light-dark(#a40000, #ff8f8f); font-weight: 600; }
  .text { white-space: pre-line; }
  summary { cursor: pointer; color: var(--soft); font-size: .875rem; }
`;

const sha256 = (text: string) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

/** Message texts are escaped; should one slip through, it still may run and load nothing. */
export const PAGE_POLICY = [
  "default-src 'none'",
  `style-src ${sha256(STYLE)}`,
  `script-src ${sha256(REFRESH_SCRIPT)}`,
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join("; ");

const FAILED = new Set(["undelivered", "failed"]);

export type InboxView = {
  /** Newest first, at most SHOWN_MAX. */
  messages: DeliveredMessage[];
  found: number;
  total: number;
  channel: string;
  search: string;
};

export function renderInbox({ messages, found, total, channel, search }: InboxView) {
  const option = (value: string, label: string) =>
    html`<option value="${value}" ${value === channel ? "selected" : ""}>${label}</option>`;
  return html`
    <!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>Sandbox inbox</title>
        <style>${raw(STYLE)}</style>
      </head>
      <body>
        <h1>Sandbox inbox</h1>
        <p class="about">What patients would have received. Nothing has left this machine.</p>
        <form method="get" action="/">
          <select name="channel" aria-label="Channel">
          ${option("", "Email and SMS")}${option("email", "Email")}${option("sms", "SMS")}
        </select>
          <input type="search" name="q" value="${search}" aria-label="Search"
            placeholder="Address, subject or text">
          <button>Show</button>
        </form>
        <p class="about">${summary({ shown: messages.length, found, total })}</p>
        <ol>${messages.map(renderMessage)}</ol>
        <script>${raw(REFRESH_SCRIPT)}</script>
      </body>
    </html>
  `;
}

function summary({ shown, found, total }: { shown: number; found: number; total: number }): string {
  if (total === 0) return "No message yet.";
  return shown < found
    ? `The newest ${shown} of ${found}, ${total} in all.`
    : `${found} of ${total}.`;
}

function renderMessage(message: DeliveredMessage) {
  const { id, channel, from, to, subject, text, segments, status } = message;
  const parts = segments === undefined
    ? ""
    : `${segments} ${segments === 1 ? "segment" : "segments"}`;
  return html`
    <li>
      <p class="about">
        <span class="channel">${channel === "sms" ? "SMS" : "Email"}</span>
        ${message.at.replace("T", " ").slice(0, 19)} UTC · ${parts === "" ? "" : `${parts} · `}
        <span class="${FAILED.has(status) ? "failed" : ""}">${status}</span>
      </p>
      <p class="about">To ${to}, from ${from}</p>
      ${subject === undefined ? "" : html`<p><strong>${subject}</strong></p>`}
      ${channel === "sms" ? html`<p class="text">${text}</p>` : renderEmailText(message)}
      ${channel === "sms" && canBeAnswered(from) ? renderReply({ id, from, to }) : ""}
    </li>
  `;
}

function renderEmailText({ id, text, html: htmlPart, attachments = [] }: DeliveredMessage) {
  return html`
    <details>
      <summary>Text</summary>
      <p class="text">${text}</p>
    </details>
    ${htmlPart === undefined
      ? ""
      : html`<p class="about"><a href="/messages/${id}/html">As HTML</a></p>`}
    ${attachments.length === 0
      ? ""
      : html`<p class="about">Attached: ${attachments.join(", ")}</p>`}
  `;
}

/** A sender that is a name, not a number, takes no answers. */
function canBeAnswered(sender: string): boolean {
  return /^(\+?\d+|MG[0-9a-f]{32})$/.test(sender);
}

function renderReply({ id, from, to }: { id: string; from: string; to: string }) {
  return html`
    <details>
      <summary>Answer as the patient</summary>
      <form method="post" action="/sandbox/replies">
        <input type="hidden" name="from" value="${to}">
        <input type="hidden" name="to" value="${from}">
        <input name="body" id="reply-${id}" aria-label="Answer" placeholder="STOP" required
          maxlength="1600">
        <button>Send</button>
      </form>
    </details>
  `;
}
