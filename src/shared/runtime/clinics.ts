import { readFile } from "node:fs/promises";
import { parseDocument } from "yaml";
import { z } from "zod";
import type { Clinic } from "../domain/clinic.ts";
import { ClinicsFile, findConflicts } from "./clinics-schema.ts";

/** A wrong value is quoted up to this many characters. */
const QUOTE_MAX = 60;

/**
 * Reads the clinics of `${configDir}/clinics.yaml`, by id.
 *
 * Reports every problem at once, each with its field and what was expected: people edit this file by hand.
 */
export async function loadClinics(configDir: string): Promise<ReadonlyMap<string, Clinic>> {
  const file = `${configDir}/clinics.yaml`;
  const document = parseDocument(await readText(file));
  const syntax = document.errors.map(({ message }) => message.split("\n")[0] ?? "");
  if (syntax.length > 0) throw unusable(file, syntax);

  const content: unknown = document.toJS();
  const result = ClinicsFile.safeParse(content, { reportInput: true });
  const issues = [...result.error?.issues ?? [], ...findConflicts(content)];
  if (!result.success || issues.length > 0) throw unusable(file, issues.flatMap(describeIssue));
  return new Map(result.data.clinics.map((clinic) => [clinic.id, clinic]));
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw unusable(file, [`cannot be read: ${code}. Set CONFIG_DIR to the folder that holds it`]);
  }
}

function unusable(file: string, problems: readonly string[]): Error {
  return new Error(`Cannot use ${file}:\n  ${problems.join("\n  ")}`);
}

type Issue = Pick<z.core.$ZodIssue, "path" | "message" | "input"> & { keys?: string[] };

function describeIssue({ path, message, input, keys }: Issue): string[] {
  if (keys !== undefined) {
    return keys.map((key) => `${z.core.toDotPath([...path, key])}: is not a known field`);
  }
  const field = z.core.toDotPath(path) || "the file";
  const quote = input === undefined || typeof input === "object"
    ? ""
    : `, not ${JSON.stringify(input).slice(0, QUOTE_MAX)}`;
  return [`${field}: ${message}${quote}`];
}
