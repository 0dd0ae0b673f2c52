import { createHash, timingSafeEqual } from "node:crypto";
import { readFile } from "node:fs/promises";
import { parseDocument } from "yaml";
import { z } from "zod";
import type { Clinic } from "../shared/domain/clinic.ts";
import type { Mode } from "../shared/domain/delivery.ts";
import type { Refusal } from "./problem.ts";

/** Who may ask for notifications. */
export type Client = {
  id: string;
  /** The clinic it speaks for; "*": any, and each request says which. */
  clinic: string;
  type: Mode;
  /** SHA-256 of its keys: several while a key is rotated. */
  keyHashes: readonly Buffer[];
  /** Email addresses, lower case, and E.164 numbers a `team` client may reach. */
  allow: ReadonlySet<string>;
};

export const ANY_CLINIC = "*";

const Entry = z.strictObject({
  id: z.string().regex(/^[a-z0-9][a-z0-9-]{0,63}$/, "expected lower-case letters, digits and -"),
  clinic: z.string().min(1),
  type: z.enum(["live", "team", "test"]),
  keySha256: z.array(
    z.string().regex(/^[0-9a-f]{64}$/, "expected the key's SHA-256 as 64 lower-case hex digits"),
  ).min(1),
  allow: z.array(
    z.union([z.email(), z.e164()], "expected an email address or a number such as +34600111222"),
  ).min(1).optional(),
});
const ClientsFile = z.strictObject({ clients: z.array(Entry).min(1) });

/** Reads the clients of a YAML file. Reports every problem, not just the first. */
export async function loadClients(
  file: string,
  clinics: ReadonlyMap<string, Clinic>,
): Promise<Client[]> {
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new Error(
      `Cannot read the clients: "${file}": ${error.code}. Set CLIENTS_FILE to the file they are in`,
    );
  });
  const document = parseDocument(text);
  if (document.errors.length === 0) return parseClients(document.toJS(), { file, clinics });
  const problems = document.errors.map(({ message }) => message.split("\n")[0]);
  throw new Error(`Cannot use the clients of "${file}":\n  ${problems.join("\n  ")}`);
}

export function parseClients(
  value: unknown,
  { file, clinics }: { file: string; clinics: ReadonlyMap<string, Clinic> },
): Client[] {
  const parsed = ClientsFile.safeParse(value);
  const problems = parsed.success
    ? findProblems(parsed.data.clients, clinics)
    : parsed.error.issues.map(({ path, message }) => `${path.join(".") || "file"}: ${message}`);
  if (!parsed.success || problems.length > 0) {
    throw new Error(`Cannot use the clients of "${file}":\n  ${problems.join("\n  ")}`);
  }
  return parsed.data.clients.map(({ id, clinic, type, keySha256, allow = [] }) => ({
    id,
    clinic,
    type,
    keyHashes: keySha256.map((hash) => Buffer.from(hash, "hex")),
    allow: new Set(allow.map((address) => address.toLowerCase())),
  }));
}

function findProblems(
  entries: z.infer<typeof Entry>[],
  clinics: ReadonlyMap<string, Clinic>,
): string[] {
  const problems: string[] = [];
  const ids = new Set<string>();
  const hashes = new Set<string>();
  for (const [index, { id, clinic, type, keySha256, allow }] of entries.entries()) {
    const at = `clients.${index}`;
    if (ids.has(id)) problems.push(`${at}.id: "${id}" is used twice`);
    ids.add(id);
    if (clinic !== ANY_CLINIC && !clinics.has(clinic)) {
      problems.push(`${at}.clinic: "${clinic}" is not among the clinics, nor "*"`);
    }
    if ((type === "team") !== (allow !== undefined)) {
      problems.push(`${at}.allow: expected for the type team, and for no other`);
    }
    for (const hash of keySha256) {
      if (hashes.has(hash)) problems.push(`${at}.keySha256: a key is used twice`);
      hashes.add(hash);
    }
  }
  return problems;
}

/** The client whose key an Authorization header carries. Every hash is compared, so that time tells nothing. */
export function findClient(
  clients: readonly Client[],
  authorization: string | undefined,
): Client | null {
  const [, key] = /^Bearer +([\x21-\x7e]{1,512})$/i.exec(authorization ?? "") ?? [];
  if (key === undefined) return null;
  const hash = createHash("sha256").update(key).digest();
  let found: Client | null = null;
  for (const client of clients) {
    for (const keyHash of client.keyHashes) {
      if (timingSafeEqual(hash, keyHash)) found = client;
    }
  }
  return found;
}

/** The clinic a request is for, or why it cannot be. */
export function chooseClinic(
  client: Client,
  wanted: string | undefined,
  clinics: ReadonlyMap<string, Clinic>,
): { kind: "chosen"; clinic: Clinic } | { kind: "refused"; refusal: Refusal } {
  if (client.clinic !== ANY_CLINIC && wanted !== undefined && wanted !== client.clinic) {
    return { kind: "refused", refusal: { code: "clinic_not_allowed" } };
  }
  const clinic = clinics.get(client.clinic === ANY_CLINIC ? wanted ?? "" : client.clinic);
  if (clinic !== undefined) return { kind: "chosen", clinic };
  const fault = wanted === undefined
    ? { code: "required", message: "is required with a key for every clinic" }
    : { code: "unknown_clinic", message: "there is no such clinic" };
  return {
    kind: "refused",
    refusal: { code: "invalid_request", errors: [{ pointer: "/clinic", ...fault }] },
  };
}

/** What a route finds in its context once the client is known. */
export type ClientEnv = { Variables: { client: Client; requestId: string } };

/** The clinic whose notifications a client may see and withdraw; null: every clinic's. */
export function visibleClinic(client: Client): string | null {
  return client.clinic === ANY_CLINIC ? null : client.clinic;
}
