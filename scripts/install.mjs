// Installs the packages of the lock file when they are not there yet, or when the lock file has changed.
// Plain JavaScript: it runs before anything is installed, on whatever Node the machine has.
import { execSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";

const LOCK = new URL("../package-lock.json", import.meta.url);
const INSTALLED = new URL("../node_modules/.package-lock.json", import.meta.url);

/** npm writes the versions it installed beside the packages; only the root entry differs from the lock file. */
function installedVersions(file) {
  const { packages } = JSON.parse(readFileSync(file, "utf8"));
  delete packages[""];
  return packages;
}

function upToDate() {
  if (!existsSync(INSTALLED)) return false;
  const installed = installedVersions(INSTALLED);
  return Object.entries(installedVersions(LOCK)).every(([path, { version, optional, os, cpu }]) =>
    installed[path]?.version === version || optional === true || os !== undefined ||
    cpu !== undefined
  );
}

if (!upToDate()) {
  console.log("Installing packages from package-lock.json …");
  try {
    execSync("npm ci --no-audit --no-fund", {
      cwd: new URL("..", import.meta.url),
      stdio: ["ignore", "ignore", "inherit"],
    });
  } catch {
    console.error(
      "Cannot install the packages: see npm's message above. Check the network, then run this again.",
    );
    process.exit(1);
  }
}
