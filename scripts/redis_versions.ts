/**
 * The servers that the tests can run on beside the machine's own: Redis and Valkey out of Debian's suites, unpacked into a cache and
 * never installed. `deno task test:redis` runs the tests on them.
 *
 * A server of another suite needs that suite's libraries, and so its dynamic loader. Linux names a process after the file that it runs,
 * which then is the loader: a copy of it has the server's name.
 */
import { unpackFromSuite } from "./debian.ts";
import { readServerVersion } from "./redis_server.ts";

/** A server in Debian. */
interface Packaged {
  readonly suite: string;
  readonly program: "redis" | "valkey";
  /** Of the server; further parts may follow. Newer ones enter a suite that is not a release. */
  readonly version: string;
}

/** Every known server by name. */
export const REDIS_VERSIONS: Readonly<Record<string, Packaged>> = {
  "redis-6.0": { suite: "bullseye", program: "redis", version: "6.0" },
  "redis-7.0": { suite: "bookworm", program: "redis", version: "7.0" },
  "redis-8.0": { suite: "trixie", program: "redis", version: "8.0" },
  "valkey-8.1": { suite: "trixie", program: "valkey", version: "8.1" },
  "valkey-9": { suite: "sid", program: "valkey", version: "9" },
};

/**
 * Brings a server into the cache, unless it is there. @returns the path of a program that behaves like `redis-server` of that version
 *
 * @throws Error with the reason if it cannot be brought: no apt, no network, a suite that has gone or has moved on
 */
export async function bringRedis(name: string): Promise<string> {
  const packaged = REDIS_VERSIONS[name]!;
  const folder = `${cacheFolder()}/${name}`, path = `${folder}/${packaged.program}-server`;
  if (!await exists(path)) await unpack(packaged, folder);
  const found = readServerVersion(path);
  if (!`${found.version}.`.startsWith(`${packaged.version}.`)) {
    await Deno.remove(folder, { recursive: true });
    throw new Error(`Debian's ${packaged.suite} has ${found.version} now: name it in scripts/redis_versions.ts`);
  }
  return path;
}

/** That of `.ci/run`. */
function cacheFolder(): string {
  const cache = Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME") ?? "/tmp"}/.cache`;
  return `${cache}/mutt-remediation-ci/redis`;
}

async function unpack({ suite, program }: Packaged, folder: string): Promise<void> {
  await Deno.mkdir(cacheFolder(), { recursive: true });
  const dir = await Deno.makeTempDir({ dir: cacheFolder() });
  try {
    await unpackFromSuite(`${program}-tools`, { suite, folder: dir });
    await makeProgram(dir, program);
    await Deno.rename(dir, folder);
  } catch (error) {
    await Deno.remove(dir, { recursive: true });
    throw error;
  }
}

/** Makes `<dir>/<program>-server`, which may be moved with its folder. */
async function makeProgram(dir: string, program: string): Promise<void> {
  const server = `${program}-server`;
  // Debian's redis-check-rdb is the server too: the name by which it is called decides.
  await Deno.rename(`${dir}/usr/bin/${program}-check-rdb`, `${dir}/usr/bin/${server}`);
  const libraries = ["lib", "usr/lib"].flatMap((lib) => listFolder(`${dir}/${lib}`).map((name) => `${lib}/${name}`))
    .filter((path) => path.includes("-linux-gnu"));
  const loader = libraries.flatMap((path) => listFolder(`${dir}/${path}`).map((name) => `${path}/${name}`))
    .find((path) => /\/ld-linux[^/]*\.so\.\d+$/.test(path));
  if (loader === undefined) throw new Error("the packages contain no dynamic loader");
  await Deno.mkdir(`${dir}/loader`);
  await Deno.copyFile(`${dir}/${loader}`, `${dir}/loader/${server}`);
  await Deno.chmod(`${dir}/loader/${server}`, 0o755);
  const path = libraries.map((path) => `$here/${path}`).join(":");
  await Deno.writeTextFile(
    `${dir}/${server}`,
    `#!/bin/sh\nhere="\${0%/*}"\nexec "$here/loader/${server}" --library-path "${path}" "$here/usr/bin/${server}" "$@"\n`,
    { mode: 0o755 },
  );
}

function listFolder(path: string): string[] {
  try {
    return [...Deno.readDirSync(path)].map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
