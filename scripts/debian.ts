/** Installs Debian packages in a container or CI, or only unpacks them into a folder. */
import { onPath } from "./child.ts";

/** Whether apt-get exists. */
export function hasApt(): boolean {
  return onPath("apt-get") !== undefined;
}

/**
 * Installs packages without recommended ones. The caller checks that it may. @throws Error with the command to try by
 * hand
 */
export async function installPackages(packages: readonly string[]): Promise<void> {
  await refreshPackageLists();
  await apt(["install", "-y", "-qq", "--no-install-recommends", ...packages]);
}

/** Updates the package lists. @throws Error */
export async function refreshPackageLists(): Promise<void> {
  await apt(["update", "-qq"]);
}

/**
 * Downloads packages and unpacks them into a folder, without installing. Call {@link refreshPackageLists} first.
 * @throws Error
 */
export async function unpackPackages(packages: readonly string[], folder: string): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await apt(["-o", "APT::Sandbox::User=root", "download", "-qq", ...packages], dir);
    for await (const { name } of Deno.readDir(dir)) {
      const { success } = await new Deno.Command("dpkg-deb", { args: ["-x", `${dir}/${name}`, folder] }).output();
      if (!success) throw new Error(`${name} cannot be unpacked`);
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function apt(args: readonly string[], cwd?: string): Promise<void> {
  const { success } = await new Deno.Command("apt-get", {
    args: ["-o", "DPkg::Lock::Timeout=120", ...args],
    env: { DEBIAN_FRONTEND: "noninteractive" },
    ...cwd !== undefined && { cwd },
    stdin: "null",
    stdout: "null",
    stderr: "inherit",
  }).spawn().status;
  if (!success) throw new Error(`"apt-get ${args.join(" ")}" failed: try it by hand`);
}
