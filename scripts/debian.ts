/** Debian's packages: installed on a machine that is nobody's (a container, CI), or only unpacked into a folder. */
import { onPath } from "./child.ts";

/** Whether apt-get is here. */
export function hasApt(): boolean {
  return onPath("apt-get") !== undefined;
}

/** Installs packages without what they only recommend. The caller has made sure that it may. @throws Error with the command to try by hand. */
export async function installPackages(packages: readonly string[]): Promise<void> {
  await refreshPackageLists();
  await apt(["install", "-y", "-qq", "--no-install-recommends", ...packages]);
}

/** Asks Debian which packages there are. @throws Error */
export async function refreshPackageLists(): Promise<void> {
  await apt(["update", "-qq"]);
}

/**
 * Downloads packages, which {@link refreshPackageLists} has found, and unpacks them into a folder; nothing is installed.
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
