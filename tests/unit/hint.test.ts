import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decodeHint, encodeHint, HINT_BYTES_MAX } from "../../src/shared/messaging/hint.ts";

const DELIVERY_ID = "0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000";
const TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

const bytes = (text: string) => new TextEncoder().encode(text);

describe("encodeHint()", () => {
  test("is read back by decodeHint()", () => {
    const hint = { deliveryId: DELIVERY_ID, channel: "sms", traceparent: TRACEPARENT } as const;
    assert.deepEqual(decodeHint("sms", bytes(encodeHint(hint))), hint);
  });

  test("is read back without a trace", () => {
    const hint = { deliveryId: DELIVERY_ID, channel: "email" } as const;
    assert.deepEqual(decodeHint("email", bytes(encodeHint(hint))), hint);
  });

  for (
    const traceparent of [
      "",
      "nonsense",
      `ff${TRACEPARENT.slice(2)}`,
      `00-${"0".repeat(32)}-b7ad6b7169203331-01`,
      `00-0af7651916cd43dd8448eb211c80319c-${"0".repeat(16)}-01`,
      TRACEPARENT.toUpperCase(),
      `${TRACEPARENT}-and-more`,
    ]
  ) {
    test(`leaves out the traceparent "${traceparent}"`, () => {
      const text = encodeHint({ deliveryId: DELIVERY_ID, channel: "email", traceparent });
      assert.deepEqual(JSON.parse(text), { deliveryId: DELIVERY_ID });
    });
  }
});

describe("decodeHint()", () => {
  const unreadable = {
    "nothing": "",
    "no JSON": "deliveryId",
    "no object": `"${DELIVERY_ID}"`,
    "null": "null",
    "no id": "{}",
    "an id that is no UUID": `{"deliveryId":"42"}`,
    "an unknown field": `{"deliveryId":"${DELIVERY_ID}","name":"Ana"}`,
    "a traceparent that is none": `{"deliveryId":"${DELIVERY_ID}","traceparent":"00-1-2-3"}`,
    "too many bytes": `{"deliveryId":"${DELIVERY_ID}"}${" ".repeat(HINT_BYTES_MAX)}`,
  };
  for (const [what, text] of Object.entries(unreadable)) {
    test(`is null for ${what}`, () => {
      assert.equal(decodeHint("email", bytes(text)), null);
    });
  }

  test("is null for bytes that are no UTF-8", () => {
    const body = bytes(`{"deliveryId":"${DELIVERY_ID}"}`);
    assert.equal(decodeHint("email", new Uint8Array([...body, 0xff])), null);
  });
});
