import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  type Answer,
  createRequest,
  createTestDispatcher,
  inHours,
  KEYS,
} from "../support/dispatcher.ts";

const { sql, post, lines } = await createTestDispatcher();

async function countRows(reference: string): Promise<number> {
  const [row] = await sql`
    select count(*)::int as rows from delivery.notification where reference = ${reference}`;
  return row?.rows;
}

/** The errors of an answer, each as "pointer code". */
function errorsOf({ body }: Answer): string[] {
  return body.errors.map((error: { pointer: string; code: string }) =>
    `${error.pointer} ${error.code}`
  ).sort();
}

describe("POST /v1/notifications refuses", () => {
  const appointment = { id: "a-1", startsAt: inHours(48), timeZone: "Europe/Madrid" };
  const recipient = { email: "ana@example.test", phone: "+34600111222" };
  const wrong: [name: string, fields: Record<string, unknown>, errors: string[]][] = [
    ["an unknown template", { template: "none" }, ["/template unknown_template"]],
    ["a template that is a name of objects", { template: "constructor" }, [
      "/template unknown_template",
    ]],
    ["missing data", { data: {} }, ["/data/practitioner invalid_data"]],
    ["unknown data", { data: { practitioner: "Dr Ruiz", age: 9 } }, ["/data/age invalid_data"]],
    ["no appointment where the template needs one", { appointment: undefined }, [
      "/appointment required",
    ]],
    ["a bad phone number", { recipient: { phone: "+34 6" } }, ["/recipient/phone invalid_phone"]],
    ["nobody to reach", { recipient: {}, channels: ["sms", "email"] }, [
      "/recipient/email no_contact",
      "/recipient/phone no_contact",
    ]],
    ["an unknown patient without address", { recipient: { patientId: "nobody" } }, [
      "/recipient/phone no_contact",
    ]],
    ["unknown zones", {
      recipient: { ...recipient, timeZone: "Europe/Nowhere" },
      appointment: { ...appointment, timeZone: "+02:00" },
    }, ["/appointment/timeZone unknown_time_zone", "/recipient/timeZone unknown_time_zone"]],
    ["a channel twice", { channels: ["sms", "sms"] }, ["/channels/1 duplicate"]],
    ["a channel the template has no text for", {
      template: "news",
      data: {},
      channels: ["email"],
    }, ["/channels/0 channel_not_in_template"]],
    ["a useless expiry", { expiresAt: inHours(-1) }, ["/expiresAt too_early"]],
    ["an expiry before sending", { sendAt: inHours(5), expiresAt: inHours(4) }, [
      "/expiresAt too_early",
    ]],
    ["a sending in years", { sendAt: inHours(24 * 500), expiresAt: inHours(24 * 501) }, [
      "/sendAt too_far",
    ]],
    ["an expiry in years", { expiresAt: inHours(24 * 500) }, ["/expiresAt too_far"]],
    [
      "an appointment in years",
      { appointment: { ...appointment, startsAt: inHours(24 * 3_700) } },
      [
        "/appointment/startsAt too_far",
      ],
    ],
    ["an appointment that is over", { appointment: { ...appointment, startsAt: inHours(-1) } }, [
      "/appointment/startsAt too_early",
    ]],
    ["a sending after the appointment", { sendAt: inHours(49) }, [
      "/appointment/startsAt too_early",
    ]],
  ];
  for (const [name, fields, errors] of wrong) {
    test(name, async () => {
      const request = createRequest(fields);
      const answer = await post("/v1/notifications", request);
      assert.equal(answer.status, 400);
      assert.equal(answer.headers.get("content-type"), "application/problem+json");
      assert.equal(answer.body.code, "invalid_request");
      assert.deepEqual(errorsOf(answer), errors);
      assert.equal(await countRows(request.reference as string), 0);
    });
  }

  test("a channel the clinic has no sender for", async () => {
    const answer = await post("/v1/notifications", createRequest(), { key: KEYS.mute });
    assert.deepEqual(errorsOf(answer), ["/channels/0 channel_without_sender"]);
  });

  test("with every fault at once, and no value in the answer", async () => {
    const answer = await post("/v1/notifications", {
      ...createRequest(),
      extra: "s3cret",
      template: "s3cret",
      recipient: { phone: "s3cret", email: "s3cret", extra: "s3cret" },
      channels: ["sms", "sms"],
      expiresAt: inHours(-1),
    });
    assert.equal(answer.status, 400);
    assert.deepEqual(errorsOf(answer), [
      "/channels/1 duplicate",
      "/expiresAt too_early",
      "/extra unknown_field",
      "/recipient/email invalid_format",
      "/recipient/extra unknown_field",
      "/recipient/phone invalid_phone",
      "/template unknown_template",
    ]);
    assert.doesNotMatch(answer.text, /s3cret/);
    assert.doesNotMatch(lines.join(), /s3cret/);
  });

  const json = { "content-type": "application/json" };
  const bodies: [
    name: string,
    body: string | Uint8Array<ArrayBuffer>,
    headers: Record<string, string>,
    status: number,
    code: string,
  ][] = [
    ["what is not JSON", "{", json, 400, "malformed_json"],
    ["no body", "", json, 400, "malformed_json"],
    ["bytes that are not UTF-8", new Uint8Array([0x22, 0xff, 0x22]), json, 400, "malformed_json"],
    ["another type", "{}", { "content-type": "text/plain" }, 415, "unsupported_media_type"],
    ["a body too deep", "[".repeat(1_000), json, 400, "invalid_request"],
    ["a body too large", `"${"x".repeat(256 * 1024)}"`, json, 413, "too_large"],
    [
      "a body announced too large",
      "{}",
      { ...json, "content-length": "300000" },
      413,
      "too_large",
    ],
  ];
  for (const [name, body, headers, status, code] of bodies) {
    test(name, async () => {
      const answer = await post("/v1/notifications", body, { headers });
      assert.deepEqual([answer.status, answer.body.code], [status, code]);
    });
  }
});

describe("POST /v1/notifications/batch refuses", () => {
  const wrong: [name: string, body: unknown, pointer: string][] = [
    ["an empty batch", { notifications: [] }, "/notifications"],
    ["501 notifications", { notifications: Array(501).fill({}) }, "/notifications"],
    ["an unknown field", { notifications: [{}], extra: 1 }, "/extra"],
    ["no list", {}, "/notifications"],
    ["a list alone", [], ""],
  ];
  for (const [name, body, pointer] of wrong) {
    test(name, async () => {
      const answer = await post("/v1/notifications/batch", body);
      assert.equal(answer.status, 400);
      assert.deepEqual(answer.body.errors.map((error: { pointer: string }) => error.pointer), [
        pointer,
      ]);
    });
  }

  test("more than 4 MiB", async () => {
    const answer = await post("/v1/notifications/batch", `"${"x".repeat(4 * 1024 * 1024)}"`);
    assert.equal(answer.status, 413);
  });
});
