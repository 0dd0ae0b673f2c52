import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { fileURLToPath } from "node:url";
import { parseDocument } from "yaml";

const BASE = fileURLToPath(new URL("../../gitops/base/config/", import.meta.url));

type Clinics = {
  clinics: {
    id: string;
    quietHours?: unknown;
    senders: Record<string, { ratePerSecond?: number }>;
  }[];
};

/**
 * A CONFIG_DIR with the clinics and templates of the base, removed after the test that asked for it.
 *
 * Without quiet hours, so that no test depends on the hour, and without the senders' rates, so that a load is not held
 * back by them. `edit` changes more.
 */
export async function createTestConfig(
  edit: (config: Clinics) => void = () => {},
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "carillon-config-"));
  after(() => rm(folder, { recursive: true }));
  await cp(BASE, folder, { recursive: true });

  const file = join(folder, "clinics.yaml");
  const config = parseDocument(await readFile(file, "utf8")).toJS() as Clinics;
  for (const clinic of config.clinics) {
    delete clinic.quietHours;
    for (const sender of Object.values(clinic.senders)) delete sender.ratePerSecond;
  }
  edit(config);
  await writeFile(file, JSON.stringify(config)); // JSON is YAML
  return folder;
}
