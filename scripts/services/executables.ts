import { execFile } from "node:child_process";
import { access, constants, readdir } from "node:fs/promises";
import { delimiter, join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";

const OUTPUT_MAX_BYTES = 16 * 1024 * 1024;

/** What a program prints. Rejects when it is not there or fails. */
export async function output(
  file: string,
  args: readonly string[],
  { timeoutMs = 30_000, ...options }: {
    timeoutMs?: number;
    env?: NodeJS.ProcessEnv;
    cwd?: string;
    uid?: number;
    gid?: number;
  } = {},
): Promise<string> {
  const { stdout } = await promisify(execFile)(file, [...args], {
    ...options,
    timeout: timeoutMs,
    maxBuffer: OUTPUT_MAX_BYTES,
  });
  return stdout.trim();
}

export async function isExecutable(file: string): Promise<boolean> {
  return await access(file, constants.X_OK).then(() => true, () => false);
}

/** The first folder that holds all the programs named. */
export async function findFolder(
  folders: readonly string[],
  programs: readonly string[],
): Promise<string | null> {
  for (const folder of folders) {
    const found = await Promise.all(programs.map((program) => isExecutable(join(folder, program))));
    if (found.every(Boolean)) return folder;
  }
  return null;
}

export function pathFolders(): string[] {
  return (process.env.PATH ?? "").split(delimiter).filter((folder) => folder !== "");
}

/** The folders `parent/<version>`, newest first. */
export async function versionFolders(parent: string): Promise<string[]> {
  const names = await readdir(parent).catch(() => []);
  return names
    .sort((a, b) => b.localeCompare(a, "en", { numeric: true }))
    .map((name) => join(parent, name));
}
