/**
 * The local key: a key of the API for commands on this machine, so that they need no configuration. It is random, new at each
 * start, has role admin and the name `local`, and is in a file that only this user and root can read.
 */
import { createKey } from "../config/create_key.ts";
import { type ApiKey, parseApiKeys } from "../config/api_keys.ts";
import { removeFile, writePrivateFile } from "../runtime/process.ts";

/** A local key whose file could be created. */
export interface LocalKey {
  readonly key: ApiKey;
  /** Writes the address of the API and the key. */
  publish(url: string): void;
  /** Deletes the file. */
  remove(): void;
}

/** Creates a key and its file, still empty. `null`: the path is empty, or its directory does not exist or is not writable. */
export function createLocalKey(path: string): LocalKey | null {
  if (path === "" || !writePrivateFile(path, "")) return null;
  const { key: secret, entry } = createKey({ name: "local", role: "admin" });
  const parsed = parseApiKeys(entry, "list");
  if (!parsed.ok) throw new Error("createKey and parseApiKeys differ");
  return {
    key: parsed.keys[0]!,
    publish: (url) => void writePrivateFile(path, `${JSON.stringify({ url, key: secret })}\n`),
    remove: () => removeFile(path),
  };
}
