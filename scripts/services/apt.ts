import { access, chmod, rm, writeFile } from "node:fs/promises";
import process from "node:process";
import { output } from "./executables.ts";

const INSTALL_TIMEOUT_MS = 300_000;
const POLICY = "/usr/sbin/policy-rc.d";

/** Whether packages can be installed here: as root, on Debian or Ubuntu. */
export async function canInstall(): Promise<boolean> {
  if (process.getuid?.() !== 0) return false;
  return await access("/etc/debian_version").then(() => true, () => false);
}

/** Installs packages without starting the services they bring. */
export async function install(packages: readonly string[]): Promise<void> {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const apt = (...args: string[]) =>
    output("apt-get", args, { env, timeoutMs: INSTALL_TIMEOUT_MS });
  // Debian asks this file before it starts a service; 101 says no
  const hasPolicy = await access(POLICY).then(() => true, () => false);
  if (!hasPolicy) {
    await writeFile(POLICY, "#!/bin/sh\nexit 101\n");
    await chmod(POLICY, 0o755);
  }
  try {
    await apt("update");
    await apt("install", "--yes", "--no-install-recommends", ...packages);
  } finally {
    if (!hasPolicy) await rm(POLICY, { force: true });
  }
}
