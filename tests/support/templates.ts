import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after } from "node:test";

/** A configuration folder that holds these files below templates/, until the test has ended. */
export async function writeTemplates(files: Record<string, string>): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "templates-"));
  after(() => rm(directory, { recursive: true }));
  await mkdir(join(directory, "templates"));
  for (const [path, text] of Object.entries(files)) {
    const file = join(directory, "templates", path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
  }
  return directory;
}
