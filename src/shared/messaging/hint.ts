import { z } from "zod";
import type { Channel } from "../domain/delivery.ts";
import type { Hint } from "./queue.ts";

/** A hint is an id and a trace context: about 140 bytes. Anything much longer is not a hint. */
export const HINT_BYTES_MAX = 512;

/** W3C Trace Context §3.2: version ff and ids of zeros only are invalid. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** The body of a message. The channel is not in it: it is the routing key, and the queue the message came from. */
const HintBody = z.strictObject({
  deliveryId: z.uuid(),
  traceparent: z.string().regex(TRACEPARENT).optional(),
});

export function encodeHint({ deliveryId, traceparent }: Hint): string {
  // It may come from a client's request, and a bad one must not cost the hint
  const traced = traceparent !== undefined && TRACEPARENT.test(traceparent);
  return JSON.stringify(traced ? { deliveryId, traceparent } : { deliveryId });
}

/** Null when the bytes are not a hint: only whoever put them there can tell what was meant. */
export function decodeHint(channel: Channel, bytes: Uint8Array): Hint | null {
  if (bytes.byteLength > HINT_BYTES_MAX) return null;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return { ...HintBody.parse(JSON.parse(text)), channel };
  } catch {
    return null; // Not UTF-8, not JSON or not a hint: it comes to the same
  }
}
