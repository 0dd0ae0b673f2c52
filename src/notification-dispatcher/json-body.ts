import type { Context } from "hono";
import type { Refusal } from "./problem.ts";

export type JsonBody = { kind: "read"; value: unknown } | { kind: "refused"; refusal: Refusal };

/** Deeper than any request of ours; a body of brackets alone would otherwise cost a hundred times its size. */
const DEPTH_MAX = 10;

const MALFORMED: JsonBody = { kind: "refused", refusal: { code: "malformed_json" } };
const TOO_LARGE: JsonBody = { kind: "refused", refusal: { code: "too_large" } };

/** Reads a JSON body of at most `maxBytes`. With `optional`, no body at all is an empty object. */
export async function readJson(
  c: Context,
  { maxBytes, optional = false }: { maxBytes: number; optional?: boolean },
): Promise<JsonBody> {
  const bytes = await readBytes(c, maxBytes).catch(() => undefined);
  if (bytes === undefined) return MALFORMED; // The client went away half-way
  if (bytes === null) return TOO_LARGE;
  if (optional && bytes.byteLength === 0) return { kind: "read", value: {} };
  if (!/^application\/json\s*(;|$)/i.test(c.req.header("content-type") ?? "")) {
    return { kind: "refused", refusal: { code: "unsupported_media_type" } };
  }
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    if (isTooDeep(text)) {
      const detail = `The body is nested deeper than ${DEPTH_MAX} levels`;
      return { kind: "refused", refusal: { code: "invalid_request", detail } };
    }
    return { kind: "read", value: JSON.parse(text) };
  } catch {
    return MALFORMED; // Its message would quote the body
  }
}

/** Null when there are more than `maxBytes`: the rest is not read. */
async function readBytes(c: Context, maxBytes: number): Promise<Uint8Array | null> {
  const announced = c.req.header("content-length");
  if (announced !== undefined && c.req.header("transfer-encoding") === undefined) {
    // The server holds the body to its announced length; the stream below would cost a real Request for each call
    if (!(Number(announced) <= maxBytes)) return null;
    return new Uint8Array(await c.req.arrayBuffer());
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of c.req.raw.body ?? []) {
    size += chunk.byteLength;
    if (size > maxBytes) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPENING = new Set([0x5b, 0x7b]);
const CLOSING = new Set([0x5d, 0x7d]);

/** Counts brackets outside strings, before anything is built from them. */
function isTooDeep(text: string): boolean {
  let depth = 0;
  let inString = false;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    if (inString) {
      if (unit === BACKSLASH) index += 1;
      else if (unit === QUOTE) inString = false;
    } else if (unit === QUOTE) inString = true;
    else if (OPENING.has(unit)) {
      depth += 1;
      if (depth > DEPTH_MAX) return true;
    } else if (CLOSING.has(unit)) depth -= 1;
  }
  return false;
}
