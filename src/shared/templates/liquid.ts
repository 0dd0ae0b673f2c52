import { Liquid } from "liquidjs";

const LIMITS = { parseLimit: 20_000, renderLimit: 1_000, memoryLimit: 1_000_000 }; // characters, ms, characters

// Enough for a message. Without the others a template cannot read files, loop, work out a date of its own, or
// switch the escaping off.
const TAGS = new Set(["if", "unless", "case", "comment"]);
const FILTERS = new Set(["default", "capitalize", "upcase", "downcase"]);

/** Values a template may use: null is "there is none", and every name it uses must be here. */
export type Values = Record<string, Record<string, string | null>>;

export type Render = (values: Values) => string;

export type Compiled = { render: Render; variables: string[] };

// Made once: one for each template took half of the time of reading them
const TEXT = createEngine({});
const HTML = createEngine({ outputEscape: "escape" });

/** Throws when the source is not Liquid, or uses a tag or a filter that is not allowed. */
export function compile(source: string, { html }: { html: boolean }): Compiled {
  const engine = html ? HTML : TEXT;
  const parsed = engine.parse(source);
  return {
    render: (values) => engine.renderSync(parsed, values),
    variables: engine.globalFullVariablesSync(parsed),
  };
}

function createEngine(options: { outputEscape?: "escape" }): Liquid {
  const engine = new Liquid({
    ...LIMITS,
    strictVariables: true,
    strictFilters: true,
    ownPropertyOnly: true,
    ...options,
  });
  for (const tag of Object.keys(engine.tags)) if (!TAGS.has(tag)) delete engine.tags[tag];
  for (const filter of Object.keys(engine.filters)) {
    if (!FILTERS.has(filter)) delete engine.filters[filter];
  }
  return engine;
}
