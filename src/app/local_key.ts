/**
 * The local key: a key of the API for commands on this machine, so that they need no configuration. It is random, new at each
 * start, has role admin and the name `local`, and is in a file that only this user and root can read.
 */
import { NONE } from "../config/field.ts";
import { createKey } from "../config/create_key.ts";
import { type ApiKey, parseApiKeys } from "../config/api_keys.ts";
import { readFileIfAny, removeFile, writePrivateFile } from "../runtime/process.ts";

/** A local key whose file could be created. */
export interface LocalKey {
  readonly key: ApiKey;
  /** Writes the address of the API and the key. */
  publish(url: string): void;
  /** Deletes the file, if it is still of this instance. */
  remove(): void;
}

/** Creates a key and its file, still empty. `null`: the path is `none`, or its directory does not exist or is not writable. */
export function createLocalKey(path: string): LocalKey | null {
  if (path === NONE || !writePrivateFile(path, "")) return null;
  let written = "";
  const write = (text: string) => {
    if (writePrivateFile(path, text)) written = text;
  };
  const { key: secret, entry } = createKey({ name: "local", role: "admin" });
  const parsed = parseApiKeys(entry, "list");
  if (!parsed.ok) throw new Error("createKey and parseApiKeys differ");
  return {
    key: parsed.keys[0]!,
    publish: (url) => write(`${JSON.stringify({ url, key: secret })}\n`),
    // Another instance may have replaced it.
    remove() {
      if (readFileIfAny(path)?.text === written) removeFile(path);
    },
  };
}
