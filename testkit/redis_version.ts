/** What the server that the tests run on can do: see `deno task test:redis`. */
import { ACL_DIALECTS, type AclDialect } from "../scripts/redis_acl.ts";
import { foundServerVersion } from "../scripts/redis_server.ts";

/** Valkey began as Redis 7.2 and says that it is compatible with it. */
const VALKEY_IS_LIKE = "7.2";

let version: readonly number[] | undefined;

/** Whether the server is Redis of this version or newer, e.g. `7.0`, or compatible with it. */
export function serverHas(wanted: string): boolean {
  version ??= parseVersion(readVersion());
  const [found, needed] = [version, parseVersion(wanted)];
  const at = needed.findIndex((number, at) => (found[at] ?? 0) !== number);
  return at === -1 || (found[at] ?? 0) > needed[at]!;
}

/** A test's name, and whether it is ignored: for `Deno.test(needs("7.0", "…"), …)` and steps. */
export interface NeedingTest {
  readonly name: string;
  readonly ignore: boolean;
}

/** For a test of what Redis has from a version on. On an older server it is ignored, and its name says why. */
export function needs(version: string, name: string): NeedingTest {
  return serverHas(version) ? { name, ignore: false } : { name: `${name} (needs Redis ${version})`, ignore: true };
}

/** The syntax of this server's ACL. */
export function aclDialect(): AclDialect {
  return ACL_DIALECTS.find(serverHas) ?? "6.0";
}

/** Rules of Redis 7 as this server knows them: a key for reading may be written too before 7.0; no channels before 6.2. */
export function aclForServer(...rules: readonly string[]): string[] {
  const dialect = aclDialect();
  return rules.filter((rule) => dialect !== "6.0" || !/^(&|allchannels$|resetchannels$)/.test(rule))
    .map((rule) => dialect === "7.0" ? rule : rule.replace(/^%R~/, "~"));
}

/** The rules of a user who may do everything. */
export function aclAll(): string[] {
  return aclForServer("~*", "&*", "+@all");
}

/** Where none is installed yet, the first server that a test starts installs it; that is a recent one. */
function readVersion(): string {
  const server = foundServerVersion();
  return server === null || server.name === "Valkey" ? VALKEY_IS_LIKE : server.version;
}

function parseVersion(text: string): readonly number[] {
  return text.split(".").map(Number);
}
