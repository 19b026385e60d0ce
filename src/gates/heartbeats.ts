/** A consumer's heartbeats: which keys they are, and whether one is alive. */
import { Buffer } from "node:buffer";
import { masters, type RedisClient } from "../redis/cluster.ts";
import { redisErrorCode } from "../redis/errors.ts";
import type { Clock } from "../runtime/clock.ts";
import { CachedLookup, unlessAborted } from "../lifecycle/cached_lookup.ts";

/** A full look through the key space costs Redis 80 ms over 200,000 keys (DESIGN §4), so not more often than this. */
const LOOK_EVERY_MS = 10_000;
/** Most keys that one SCAN step examines: 0.2 ms of Redis' time. */
const SCAN_COUNT = 500;
/** An answer with more bytes of names is large: the next step examines a quarter of the keys. Names can have 512 MB each. */
const LARGE_ANSWER_BYTES = 65_536;
/** Longest part behind the prefix that is taken for a pod's name; Kubernetes and DNS end at 253. */
const MAX_POD_BYTES = 253;
/** Steps in a row; then others get {@link PAUSE_MS}. */
const STEPS_IN_A_ROW = 10;
const PAUSE_MS = 10;
/** A look ends when it has found this many: one that lives is enough. */
const MAX_NAMES = 64;

/**
 * - `alive`: a heartbeat is there. `gone`: one was seen in this process' life, none is there.
 * - `never_seen`: a whole look found none. `looking`: a look has yet to tell.
 * - `forbidden`: the ACL does not let us ask. `failed`: Redis did not answer.
 */
export type HeartbeatState = "alive" | "gone" | "never_seen" | "looking" | "forbidden" | "failed";

/** What {@link Heartbeats} needs. */
export interface HeartbeatsOptions {
  /** Keys are `<prefix>:<pod>`. */
  readonly prefix: string;
  readonly redis: RedisClient;
  readonly clock: Clock;
  readonly onRedisError?: (error: unknown) => void;
}

type Look = "looked" | "forbidden" | "failed";

/**
 * Watches `<prefix>:*`. The names are looked for by SCAN in the background, in small steps, and only while none of the
 * known ones is alive; those are asked by EXISTS. What was seen is remembered in this process only.
 */
export class Heartbeats {
  readonly #options: HeartbeatsOptions;
  readonly #look: CachedLookup<Look>;
  /** Each character a byte: a name need not be text. */
  #names: readonly string[] = [];

  constructor(options: HeartbeatsOptions) {
    this.#options = options;
    this.#look = new CachedLookup({
      clock: options.clock,
      freshMs: LOOK_EVERY_MS,
      graceMs: () => 0,
      find: async (signal) => ({ value: await this.#tryLook(signal), ageMs: 0 }),
    });
  }

  /** Whether a heartbeat was ever seen in this process' life. */
  get everSeen(): boolean {
    return this.#names.length > 0;
  }

  /** The state now. An EXISTS for each known name; never rejects. */
  async ask(): Promise<HeartbeatState> {
    const known = await this.#askKnown();
    if (known !== "gone" && known !== "never_seen") return known;
    const look = this.#look.current();
    if (look === undefined) return "looking";
    return look === "looked" ? known : look;
  }

  /** Resolves once the look that is due has ended. */
  whenKnown(): Promise<void> {
    return this.#look.whenKnown();
  }

  /** Ends a look in progress. Safe to call twice. */
  stop(): Promise<void> {
    return this.#look.stop();
  }

  async #askKnown(): Promise<HeartbeatState> {
    if (!this.everSeen) return "never_seen";
    try {
      const found = await Promise.all(
        this.#names.map((name) => this.#options.redis.exists(Buffer.from(name, "latin1"))),
      );
      return found.includes(1) ? "alive" : "gone";
    } catch (error) {
      return this.#failure(error);
    }
  }

  async #tryLook(signal: AbortSignal): Promise<Look> {
    try {
      const names = await this.#lookForNames(signal);
      // Where none is found the old ones stay: that they are gone is what the gate is to say.
      if (names.length > 0) this.#names = names;
      return "looked";
    } catch (error) {
      signal.throwIfAborted();
      return this.#failure(error);
    }
  }

  async #lookForNames(signal: AbortSignal): Promise<string[]> {
    const { redis, clock, prefix } = this.#options;
    const names = new Set<string>();
    const maxBytes = Buffer.byteLength(prefix) + 1 + MAX_POD_BYTES;
    for (const server of masters(redis)) {
      let cursor = "0";
      // One at first: what the names are like is only known once they are there.
      for (let step = 1, count = 1; names.size < MAX_NAMES; step++) {
        const scan = server.scanBuffer(cursor, "MATCH", `${escapeGlob(prefix)}:*`, "COUNT", count);
        const [next, found] = await unlessAborted(scan, signal);
        for (const name of found) if (name.length <= maxBytes) names.add(name.toString("latin1"));
        const bytes = found.reduce((sum, name) => sum + name.length, 0);
        count = bytes > LARGE_ANSWER_BYTES ? Math.max(1, count >> 2) : Math.min(SCAN_COUNT, count * 2);
        cursor = String(next);
        if (cursor === "0") break;
        if (step % STEPS_IN_A_ROW === 0) await clock.sleep(PAUSE_MS, signal);
      }
    }
    return [...names].slice(0, MAX_NAMES);
  }

  #failure(error: unknown): "forbidden" | "failed" {
    this.#options.onRedisError?.(error);
    return redisErrorCode(error) === "NOPERM" ? "forbidden" : "failed";
  }
}

function escapeGlob(text: string): string {
  return text.replace(/[\\*?[\]^-]/g, "\\$&");
}
