/** Interleaved rounds, their medians and ranges, and the table they are printed in. */

export type Comparison = {
  name: string;
  /** How many a second: ours, and the bare loops that do the same work. */
  ours: () => Promise<number>;
  bare?: () => Promise<number>;
  /** The share of the bare loops' rate to reach, or the rate itself where there is no bare loop. */
  line?: number;
};

export type Row = {
  name: string;
  ours: string;
  bare: string;
  ratio: string;
  /** Null when there is no line. */
  reached: boolean | null;
  line: string;
};

/** Runs A B A B: what the machine does beside this meets both alike. The first round warms up and does not count. */
export async function compare(
  { name, ours, bare, line }: Comparison,
  { rounds }: { rounds: number },
): Promise<Row> {
  const own: number[] = [];
  const limits: number[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    const limit = await bare?.();
    const rate = await ours();
    if (round === 0) continue;
    own.push(rate);
    if (limit !== undefined) limits.push(limit);
  }
  const ratios = limits.map((limit, round) => (own[round] ?? 0) / limit);
  const measured = bare === undefined ? own : ratios;
  return {
    name,
    ours: describe(own, rate),
    bare: describe(limits, rate),
    ratio: describe(ratios, share),
    line: line === undefined ? "" : `≥ ${bare === undefined ? rate(line) : share(line)}`,
    reached: line === undefined ? null : median(measured) >= line,
  };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? NaN;
  const lower = sorted[Math.floor((sorted.length - 1) / 2)] ?? NaN;
  return (lower + upper) / 2;
}

/** "0.52 (0.47–0.55)": the median and the range. */
function describe(values: readonly number[], write: (value: number) => string): string {
  if (values.length === 0) return "";
  const [low, high] = [write(Math.min(...values)), write(Math.max(...values))];
  return `${write(median(values))} (${low}–${high})`;
}

export function rate(value: number): string {
  return Math.round(value).toLocaleString("en-GB");
}

function share(value: number): string {
  return value.toFixed(2);
}

export function formatTable(rows: readonly Row[]): string {
  const verdicts = rows.map(({ line, reached }) =>
    reached === null ? "" : `${line} ${reached ? "reached" : "missed"}`
  );
  const cells = [
    ["a second", "ours", "bare", "ratio", "line"],
    ...rows.map((
      { name, ours, bare, ratio },
      index,
    ) => [name, ours, bare, ratio, verdicts[index] ?? ""]),
  ];
  return formatColumns(cells);
}

/** The first row is the heading. */
export function formatColumns(cells: readonly (readonly string[])[]): string {
  const widths = (cells[0] ?? []).map((_, column) =>
    Math.max(...cells.map((row) => row[column]?.length ?? 0))
  );
  const lines = cells.map((row) =>
    row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd()
  );
  lines.splice(1, 0, widths.map((width) => "-".repeat(width)).join("  "));
  return lines.join("\n");
}
