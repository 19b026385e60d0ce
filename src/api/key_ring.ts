/** The keys that are valid now. The file is read again when it is needed, at most once a second. */
import { Buffer } from "node:buffer";
import { createHash, timingSafeEqual } from "node:crypto";
import type { ApiKey, ParsedApiKeys } from "../config/api_keys.ts";
import type { Log } from "../observability/log.ts";
import type { Clock } from "../runtime/clock.ts";

/** How long the file's content is used before it is read again, in milliseconds. */
const FRESH_MS = 1_000;
/** Shorter texts are not keys, even if their digest is configured: they can be guessed. In characters. */
const SHORTEST_KEY = 32;

/** Dependencies of {@link KeyRing}. */
export interface KeyRingDeps {
  /** Keys that never change. */
  readonly fixed: readonly ApiKey[];
  /** Reads the keys of the file. Does not throw. */
  readonly readFile: () => ParsedApiKeys;
  readonly clock: Clock;
  readonly log: Log;
}

/** SHA-256 of a key, in hexadecimal digits. */
export function digestOf(secret: string): string {
  return createHash("sha256").update(secret, "utf8").digest("hex");
}

/**
 * Finds keys. If the file is unusable, that is logged once and its previous keys stay valid; a file without entries revokes them
 * all.
 */
export class KeyRing {
  readonly #deps: KeyRingDeps;
  #ofFile: readonly ApiKey[] = [];
  #digests: readonly { readonly key: ApiKey; readonly bytes: Buffer }[] = [];
  #readAtMs = -Infinity;
  #problem = "";
  #content = "";

  constructor(deps: KeyRingDeps) {
    this.#deps = deps;
  }

  /** Returns the key with this text. Compares it with every key in constant time. */
  find(secret: string): ApiKey | null {
    this.#refresh();
    const digest = Buffer.from(digestOf(secret), "hex");
    let found: ApiKey | null = null;
    for (const { key, bytes } of this.#digests) if (timingSafeEqual(bytes, digest)) found = key;
    return secret.length < SHORTEST_KEY ? null : found;
  }

  /** Returns the key with this name whose digest begins with `start`. */
  named(name: string, start: string): ApiKey | null {
    this.#refresh();
    return this.#digests.find(({ key }) => key.name === name && key.digest.startsWith(start))?.key ?? null;
  }

  #refresh(): void {
    const { clock, log, fixed, readFile } = this.#deps, nowMs = clock.monotonicMs();
    if (nowMs - this.#readAtMs < FRESH_MS) return;
    const isFirst = this.#readAtMs === -Infinity;
    this.#readAtMs = nowMs;
    const read = readFile(), content = JSON.stringify(read);
    if (!isFirst && content === this.#content) return;
    this.#content = content;
    if (read.ok) this.#ofFile = read.keys;
    else this.#tell(read.problems.join("; "));
    if (read.ok && !isFirst) {
      this.#problem = "";
      log.info("api_keys_read", `The file of the API's keys has changed: ${read.keys.length} keys are valid`);
    }
    this.#digests = [...fixed, ...this.#ofFile].map((key) => ({ key, bytes: Buffer.from(key.digest, "hex") }));
  }

  #tell(problem: string): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    this.#deps.log.warning("api_keys_not_read", `${problem}. The previous keys stay valid`);
  }
}
