import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { checkTemplateData } from "../../src/shared/templates/check-data.ts";

const TEMPLATE = { id: "t", data: { room: "required", guide: "optional" } } as const;

describe("checkTemplateData()", () => {
  const unusable = "expected a number, or a text of 1 to 200 characters";
  const rows: [Record<string, unknown>, string[]][] = [
    [{ room: "1" }, []],
    [{ room: 1, guide: "Eve" }, []],
    [{ room: "x".repeat(200), guide: undefined }, []],
    [{ guide: "Eve" }, ["/data/room: is missing: the template t needs it"]],
    [{ room: "1", "a/b~": "x" }, ["/data/a~1b~0: is not a field of the template t"]],
    [{ room: "1", toString: "x" }, ["/data/toString: is not a field of the template t"]],
    [{ guide: false, x: 1 }, [
      "/data/room: is missing: the template t needs it",
      `/data/guide: ${unusable}`,
      "/data/x: is not a field of the template t",
    ]],
    ...[true, null, {}, ["1"], NaN, "", " \n", "x".repeat(201)].map((
      room,
    ): [Record<string, unknown>, string[]] => [{ room }, [`/data/room: ${unusable}`]]),
  ];
  for (const [data, expected] of rows) {
    test(`finds ${expected.length} wrong with ${JSON.stringify(data)}`, () => {
      const problems = checkTemplateData(TEMPLATE, data);
      assert.deepEqual(problems.map(({ pointer, message }) => `${pointer}: ${message}`), expected);
    });
  }
});
