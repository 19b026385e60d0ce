/**
 * Installs the programs that the family `peers` compares, into a cache folder of the benchmarks. Nothing is installed in
 * the system, and no service starts.
 */
import { onPath } from "../../scripts/child.ts";
import { hasApt, refreshPackageLists } from "../../scripts/debian.ts";
import { run } from "./program.ts";

/** The cache folder, without a final slash. */
export const PEER_CACHE: string = `${
  Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME") ?? "/tmp"}/.cache`
}/mutt-remediation-bench`;

/** Whether the folder exists. */
export function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}

/** Whether this process may install peers: as root only, so that a user's machine never changes. */
export function mayInstall(): boolean {
  return Deno.uid() === 0;
}

/** Installs exact versions from npm, without their install scripts. @throws Error */
export async function installFromNpm(packages: readonly string[], folder: string): Promise<void> {
  await fillFolder(folder, async (partial) => {
    const quiet = ["--silent", "--no-audit", "--no-fund", "--no-update-notifier", "--ignore-scripts"];
    await run(["npm", "install", ...quiet, "--prefix", partial, ...packages]);
  });
}

/** Downloads a Debian package with the dependencies that the system lacks, and unpacks them. @throws Error */
export async function unpackFromDebian(name: string, folder: string): Promise<void> {
  if (!hasApt() || onPath("dpkg-deb") === undefined) throw new Error("apt-get and dpkg-deb are not here");
  await refreshPackageLists();
  await fillFolder(folder, async (partial) => {
    const archives = await Deno.makeTempDir({ prefix: "bench-deb-" });
    try {
      await Deno.mkdir(`${archives}/partial`);
      const options = [`Dir::Cache::archives=${archives}`, "APT::Sandbox::User=root", "DPkg::Lock::Timeout=120"];
      const download = ["install", "-y", "-qq", "--download-only", "--no-install-recommends", name];
      await run(["apt-get", ...options.flatMap((option) => ["-o", option]), ...download]);
      for await (const { name: file, isFile } of Deno.readDir(archives)) {
        if (isFile && file.endsWith(".deb")) await run(["dpkg-deb", "-x", `${archives}/${file}`, partial]);
      }
    } finally {
      await Deno.remove(archives, { recursive: true });
    }
  });
}

/** Fills a folder that appears only when it is complete. */
async function fillFolder(folder: string, fill: (partial: string) => Promise<void>): Promise<void> {
  await Deno.mkdir(PEER_CACHE, { recursive: true });
  const partial = await Deno.makeTempDir({ dir: PEER_CACHE, prefix: "partial-" });
  try {
    await fill(partial);
    await Deno.rename(partial, folder);
  } catch (error) {
    await Deno.remove(partial, { recursive: true });
    throw error;
  }
}
