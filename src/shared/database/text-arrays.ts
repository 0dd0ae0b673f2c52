/**
 * How arrays of texts and of UUIDs are written and read.
 *
 * The client can ask the database for the types of arrays at each connect, but a connection that is lost just then
 * ends the process (postgres 3.4.9). No other arrays are in use.
 */
export function textArrays(oids: readonly number[]) {
  return Object.fromEntries(oids.map((oid) => [
    `array${oid}`,
    { to: oid, from: [oid], serialize: formatTextArray, parse: parseTextArray },
  ]));
}

export function formatTextArray(texts: readonly (string | null)[]): string {
  return `{${texts.map((text) => text === null ? "NULL" : quote(text)).join(",")}}`;
}

function quote(text: string): string {
  return `"${text.replaceAll(/["\\]/g, "\\$&")}"`;
}

/** PostgreSQL's text of an array of one dimension. */
export function parseTextArray(array: string): (string | null)[] {
  return [...array.slice(1, -1).matchAll(/"((?:[^"\\]|\\.)*)"|([^,]+)/gs)].map(
    ([, quoted, plain = ""]) => {
      if (quoted !== undefined) return quoted.replaceAll(/\\(.)/gs, "$1");
      return plain === "NULL" ? null : plain;
    },
  );
}
