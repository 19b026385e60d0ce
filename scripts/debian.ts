/** Installs Debian packages in a container or CI, or only unpacks them into a folder. */
import { onPath } from "./child.ts";

/** Debian's own keys, of the package debian-archive-keyring. */
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";
/** Names of packages with shared libraries: a program needs others to be installed, but not to run. */
const LIBRARY = /^(lib|lua-|zlib)/;

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
 * `options` go to apt-get. @throws Error
 */
export async function unpackPackages(
  packages: readonly string[],
  folder: string,
  options: readonly string[] = [],
): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await apt([...options, "-o", "APT::Sandbox::User=root", "download", "-qq", ...packages], dir);
    for await (const { name } of Deno.readDir(dir)) {
      const { success } = await new Deno.Command("dpkg-deb", { args: ["-x", `${dir}/${name}`, folder] }).output();
      if (!success) throw new Error(`${name} cannot be unpacked`);
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/**
 * Unpacks a package of any suite of Debian, e.g. `bullseye`, and the libraries that it needs, into a folder. Installs nothing and
 * leaves the machine's package lists alone: apt gets a configuration of its own, with this suite on the mirror that the machine uses.
 * Only what Debian's keys have signed is unpacked. @throws Error with the reason
 */
export async function unpackFromSuite(program: string, { suite, folder }: { suite: string; folder: string }) {
  const mirror = await debianMirror();
  const dir = await Deno.makeTempDir({ prefix: "apt-" });
  try {
    await Deno.mkdir(`${dir}/lists/partial`, { recursive: true });
    await Deno.mkdir(`${dir}/archives/partial`, { recursive: true });
    await Deno.writeTextFile(`${dir}/status`, ""); // nothing is installed, so that apt names every library
    await Deno.writeTextFile(`${dir}/sources.list`, `deb [signed-by=${KEYRING}] ${mirror} ${suite} main\n`);
    await Deno.writeTextFile(`${dir}/apt.conf`, aptConfig(dir));
    const options = ["-c", `${dir}/apt.conf`];
    await apt([...options, "update", "-qq"]);
    const install = await aptOutput([...options, "install", "-qq", "-s", "--no-install-recommends", program]);
    const packages = [...install.matchAll(/^Inst (\S+)/gm)].map(([, name]) => name!);
    await unpackPackages(packages.filter((name) => name === program || LIBRARY.test(name)), folder, options);
  } catch (cause) {
    throw new Error(`apt-get does not bring ${program} of ${suite}, and says above why`, { cause });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** Read after the machine's own configuration, whose hooks after an update would work on the machine. */
function aptConfig(dir: string): string {
  return [
    "#clear APT::Update::Post-Invoke;",
    "#clear APT::Update::Post-Invoke-Success;",
    `Dir::Etc::SourceList "${dir}/sources.list";`,
    'Dir::Etc::SourceParts "/dev/null";',
    'Dir::Etc::Preferences "/dev/null";',
    'Dir::Etc::PreferencesParts "/dev/null";',
    `Dir::State::Lists "${dir}/lists";`,
    `Dir::State::Status "${dir}/status";`,
    `Dir::Cache "${dir}";`,
    'APT::Sandbox::User "root";',
    "",
  ].join("\n");
}

/** The mirror of Debian in this machine's own sources. */
async function debianMirror(): Promise<string> {
  if (!hasApt()) throw new Error("there is no apt-get here");
  const mirrors = async () =>
    (await aptOutput([
      ...["indextargets", "--format", "$(REPO_URI)"],
      ...["Created-By: Packages", "Origin: Debian", "Label: Debian", "Component: main"],
    ])).split("\n");
  let [mirror] = await mirrors();
  if (!mirror && Deno.uid() === 0) {
    await refreshPackageLists(); // who publishes a mirror is only known from its lists
    [mirror] = await mirrors();
  }
  if (!mirror) throw new Error("the sources of this machine's apt name no mirror of Debian, or it has no lists yet");
  return mirror;
}

async function apt(args: readonly string[], cwd?: string): Promise<void> {
  const { success } = await command(args, { stdout: "null", cwd }).spawn().status;
  if (!success) throw failed(args);
}

async function aptOutput(args: readonly string[]): Promise<string> {
  const { success, stdout } = await command(args, { stdout: "piped" }).output();
  if (!success) throw failed(args);
  return new TextDecoder().decode(stdout);
}

function command(args: readonly string[], { stdout, cwd }: { stdout: "null" | "piped"; cwd?: string | undefined }) {
  return new Deno.Command("apt-get", {
    args: ["-o", "DPkg::Lock::Timeout=120", ...args],
    env: { DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C.UTF-8" },
    ...cwd !== undefined && { cwd },
    stdin: "null",
    stdout,
    stderr: "inherit",
  });
}

function failed(args: readonly string[]): Error {
  return new Error(`"apt-get ${args.join(" ")}" failed: try it by hand`);
}
