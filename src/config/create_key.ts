/** Makes a key of the API. */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { createSecretBytes } from "../runtime/random.ts";

/** Size of a key, in bytes. */
const KEY_BYTES = 32;
/** Begins each key, so that scanners of leaked secrets recognize it. */
const PREFIX = "mrk_";

/** Creates a random key and its entry for the configuration. */
export function createKey({ name, role }: { name: string; role: string }): { key: string; entry: string } {
  const key = PREFIX + Buffer.from(createSecretBytes(KEY_BYTES)).toString("base64url");
  return { key, entry: `${name}:${role}:${createHash("sha256").update(key, "utf8").digest("hex")}` };
}
