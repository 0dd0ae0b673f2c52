export type Reference = {
  type: string;
  id: string;
  /** It is a record of the server we read from. */
  local: boolean;
};

const REFERENCE = /^(?:(.+)\/)?([A-Z][A-Za-z]+)\/([A-Za-z0-9.-]{1,64})(?:\/_history\/[^/]+)?$/;

/**
 * Reads a literal FHIR reference: relative, or absolute with one of `bases`, the addresses of the server. Null for what
 * names no record, such as a contained one ("#p1").
 */
export function parseReference(
  reference: string | undefined,
  bases: ReadonlySet<string>,
): Reference | null {
  const [, base, type, id] = REFERENCE.exec(reference ?? "") ?? [];
  if (type === undefined || id === undefined) return null;
  return { type, id, local: base === undefined || bases.has(base) };
}
