import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createProgressLine } from "../../src/etl/progress-line.ts";

describe("createProgressLine()", () => {
  test("writes the counts over the last ones, and ends the line", () => {
    const written: string[] = [];
    const line = createProgressLine({ write: (text) => written.push(text) });
    line.show({ pages: 1, appointments: 200, changed: 9, patients: 150, unusable: 2 });
    line.end();
    assert.match(
      written.join(""),
      // deno-lint-ignore no-control-regex
      /^\r\x1b\[K1 pages, 200 appointments, 150 patients, 2 unusable, \d+\/s\n$/,
    );
  });

  test("leaves the terminal alone when there was nothing to show", () => {
    const written: string[] = [];
    createProgressLine({ write: (text) => written.push(text) }).end();
    assert.deepEqual(written, []);
  });
});
