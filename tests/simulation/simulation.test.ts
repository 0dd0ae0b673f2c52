import assert from "node:assert/strict";
import { availableParallelism } from "node:os";
import process from "node:process";
import { describe, test } from "node:test";
import { NEXT_STATUSES } from "../../src/shared/domain/delivery.ts";
import { createTestDatabase, skipWithoutPostgres } from "../support/database.ts";
import { type Campaign, runCampaign } from "./campaign.ts";
import { PLANTED_DEFECTS } from "./planted-defects.ts";
import { runSeed } from "./run-seed.ts";
import { connectSimulated } from "./simulated-database.ts";

/** What `npm run test:simulation -- --seed 7 --seeds 1` sets. */
const { CARILLON_SIMULATION_SEED, CARILLON_SIMULATION_SEEDS } = process.env;
const first = Number(CARILLON_SIMULATION_SEED ?? 1);
const count = Number(CARILLON_SIMULATION_SEEDS ?? 2_000);
const chosen = CARILLON_SIMULATION_SEED !== undefined || CARILLON_SIMULATION_SEEDS !== undefined;

const LIMIT_MS = chosen ? 24 * 3_600_000 : 110_000;
const DEFECT_SEEDS_MAX = 600;
const DEFECT_LIMIT_MS = 60_000;
const REPLAYED = 12;
const TRACE_LINES_SHOWN = 120;

const skip = skipWithoutPostgres();
const processes = skip === false ? availableParallelism() : 0;
const urls = await Promise.all(
  Array.from({ length: Math.min(processes, 4) }, async () => (await createTestDatabase()).url),
);

function describeFailures({ failures }: Campaign): string {
  return failures.toSorted((a, b) => a.seed - b.seed).map(({ seed, failure, trace }) =>
    `${chosen ? `${trace.slice(-TRACE_LINES_SHOWN).join("\n")}\n` : ""}seed ${seed}: ${failure}\n` +
    `  npm run test:simulation -- --seed ${seed}`
  ).join("\n");
}

describe("a simulated clinic", { skip }, () => {
  test("keeps every promise in every seed, and sees every change of status", async (t) => {
    const campaign = await runCampaign({ urls, first, count, limitMs: LIMIT_MS });
    const { seeds, seconds, counts, transitions } = campaign;
    const figures = Object.entries(counts).map(([name, number]) => `${name} ${number}`).join(", ");
    const rate = (seeds / seconds).toFixed(1);
    t.diagnostic(`seeds ${first} to ${first + seeds - 1}, ${rate} a second: ${figures}`);
    assert.equal(campaign.failures.length, 0, describeFailures(campaign));

    const declared = Object.entries(NEXT_STATUSES).flatMap(([from, next]) =>
      next.map((to) => `${from} → ${to}`)
    );
    const missing = declared.filter((transition) => !transitions.has(transition));
    const reached = declared.length - missing.length;
    t.diagnostic(`${reached} of ${declared.length} changes of status seen`);
    // A slow machine has not the time for all the seeds that this takes
    if (!chosen && seeds === count) assert.deepEqual(missing, []);
  });

  test("has the same history each time a seed is played", { skip: chosen }, async () => {
    const sql = await connectSimulated(urls[0] ?? "");
    try {
      const seeds = Array.from({ length: REPLAYED }, (_, index) => first + index);
      const digests = new Map<number, string>();
      for (const seed of seeds) digests.set(seed, (await runSeed(sql, seed)).digest);
      // In another order, so that what one leaves behind is not what another finds
      for (const seed of seeds.toReversed()) {
        assert.equal((await runSeed(sql, seed)).digest, digests.get(seed), `seed ${seed}`);
      }
    } finally {
      await sql.end();
    }
  });

  for (const { name } of PLANTED_DEFECTS) {
    test(`finds out when ${name}`, { skip: chosen }, async (t) => {
      const { failures, seeds } = await runCampaign({
        urls,
        first: 1,
        count: DEFECT_SEEDS_MAX,
        limitMs: DEFECT_LIMIT_MS,
        defect: name,
      });
      t.diagnostic(`after ${seeds} seeds: ${failures[0]?.failure.slice(0, 60)}`);
      assert.ok(failures.length > 0, `not in ${seeds} seeds`);
    });
  }
});
