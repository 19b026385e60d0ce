/**
 * The local key: commands on this machine call the API with it and so need no configuration. It is random, replaced at each
 * start, and has the name `local` and the role admin. Only this user and root can read its file.
 */
import { NONE } from "../config/field.ts";
import { createKey } from "../config/create_key.ts";
import { type ApiKey, parseApiKeys } from "../config/api_keys.ts";
import { canWritePrivateFile, readFileIfAny, removeFile, writePrivateFile } from "../runtime/process.ts";

/** A local key. */
export interface LocalKey {
  readonly key: ApiKey;
  /** Writes the file with the address of the API and the key. */
  publish(url: string): void;
  /** Deletes the file, unless another instance has replaced it. */
  remove(): void;
}

/**
 * Creates a key. Its file is written by {@link LocalKey.publish}: until then that of another instance stays. `null`: the path is
 * `none`, or its directory does not exist or is not writable.
 */
export function createLocalKey(path: string): LocalKey | null {
  if (path === NONE || !canWritePrivateFile(path)) return null;
  let written: string | null = null;
  const { key: secret, entry } = createKey({ name: "local", role: "admin" });
  const parsed = parseApiKeys(entry, "list");
  if (!parsed.ok) throw new Error("createKey and parseApiKeys differ");
  return {
    key: parsed.keys[0]!,
    publish(url) {
      const text = `${JSON.stringify({ url, key: secret })}\n`;
      if (writePrivateFile(path, text)) written = text;
    },
    remove() {
      if (written !== null && readFileIfAny(path)?.text === written) removeFile(path);
    },
  };
}
