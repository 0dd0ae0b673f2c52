import { html, raw } from "hono/html";
import type { ApiDocument, JsonSchema } from "./openapi.ts";
import { PROBLEMS } from "./problem.ts";

export const DOCS_STYLE = `
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 56rem; margin: 0 auto; padding: 1rem; }
h2 { margin-top: 2.5rem; border-top: 1px solid color-mix(in srgb, currentColor 25%, transparent); padding-top: 1rem; }
code, pre { font: .9em/1.45 ui-monospace, monospace; overflow-wrap: anywhere; }
pre { padding: .75rem; overflow-x: auto; background: color-mix(in srgb, currentColor 7%, transparent); }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; }
`;

const NESTING_MAX = 4;

type Operation = ApiDocument["paths"][string][string];

/** One page, made from the document alone: no script, nothing from elsewhere. */
export function renderDocs(document: ApiDocument) {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation }))
  );
  return html`
    <!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>${document.info.title}</title>
        <style>${raw(DOCS_STYLE)}</style>
      </head>
      <body>
        <h1>${document.info.title}</h1>
        <p>${document.info.description} The same as <a href="/openapi.json">OpenAPI</a>.
    Requests carry a key: <code>Authorization: Bearer …</code>.</p>
        <nav>
          <ul>
    ${operations.map(({ path, method, operation }) =>
      html`<li><a href="#${anchor(method, path)}"><code>${method.toUpperCase()} ${path}</code></a>
${operation.summary}</li>`
    )}
          </ul>
        </nav>
        <main>
    ${operations.map((entry) => renderOperation(entry, document))}
    <h2 id="problems">Problems</h2>
    <p>Errors are <code>application/problem+json</code> (RFC 9457). Decide by <code>code</code>.</p>
    <table>
    <thead><tr><th scope="col">Code</th><th scope="col">Status</th><th scope="col">Meaning</th></tr></thead>
    <tbody>${Object.entries(PROBLEMS).map(([code, { status, title }]) =>
      html`
        <tr id="${code}">
          <td><code>${code}</code></td>
          <td>${status}</td>
          <td>${title}</td>
        </tr>
      `
    )}</tbody>
    </table>
        </main>
      </body>
    </html>
  `;
}

function renderOperation(
  { path, method, operation }: { path: string; method: string; operation: Operation },
  document: ApiDocument,
) {
  const body = operation.requestBody?.content["application/json"];
  const [answer] = Object.entries(operation.responses)
    .filter(([status]) => status.startsWith("2"));
  const answerSchema = (answer?.[1] as {
    content?: { "application/json"?: { schema?: JsonSchema } };
  })?.content?.["application/json"]?.schema;
  return html`<h2 id="${anchor(method, path)}"><code>${method.toUpperCase()} ${path}</code></h2>
<p>${operation.summary}.</p>
${
    operation.parameters.length === 0 ? "" : renderFields(
      "Parameters",
      operation.parameters.map(({ name, in: where, schema }) => ({
        name,
        type: where,
        description: schema.description ?? schema.enum?.join(", ") ?? "",
      })),
    )
  }
${body === undefined ? "" : renderFields("Request", listFields(body.schema, document))}
${body?.example === undefined ? "" : html`<pre>${JSON.stringify(body.example, null, 2)}</pre>`}
${
    answerSchema === undefined
      ? ""
      : renderFields(`Answer ${answer?.[0]}`, listFields(answerSchema, document))
  }`;
}

type Field = { name: string; type: string; description: string };

function renderFields(title: string, fields: Field[]) {
  return html`
    <h3>${title}</h3>
    <table>
      <tbody>${fields.map(({ name, type, description }) =>
        html`
          <tr>
            <td><code>${name}</code></td>
            <td>${type}</td>
            <td>${description}</td>
          </tr>
        `
      )}</tbody>
    </table>
  `;
}

/** The fields of an object and of what it holds, each with its path. */
function listFields(schema: JsonSchema, document: ApiDocument, prefix = "", depth = 0): Field[] {
  const { properties = {}, required = [] } = resolve(schema, document);
  return Object.entries(properties).flatMap(([key, property]) => {
    const name = prefix + key;
    const found = resolve(property, document);
    const field = {
      name: required.includes(key) ? name : `${name}?`,
      type: [found.type ?? (found.anyOf ?? []).map(({ type }) => type ?? "object")].flat(2)
        .join(" or "),
      description: found.description ?? found.enum?.join(", ") ?? "",
    };
    if (depth >= NESTING_MAX) return [field];
    const inner = found.items ?? found;
    const variants = [inner, ...inner.anyOf ?? []];
    const within = found.items === undefined ? `${name}.` : `${name}[].`;
    return [
      field,
      ...variants.flatMap((variant) => listFields(variant, document, within, depth + 1)),
    ];
  });
}

function resolve(schema: JsonSchema, document: ApiDocument): JsonSchema {
  const name = schema.$ref?.split("/").at(-1);
  return name === undefined ? schema : document.components.schemas[name] ?? schema;
}

function anchor(method: string, path: string): string {
  return `${method}${path.replace(/[^\w]+/g, "-")}`;
}
