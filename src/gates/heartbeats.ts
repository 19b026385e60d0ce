/** Finds a consumer's heartbeat keys, and checks whether one is alive. */
import { Buffer } from "node:buffer";
import type { RedisClient } from "../redis/cluster.ts";
import { redisErrorCode } from "../redis/errors.ts";
import { scanNames } from "../redis/scan.ts";
import type { Clock } from "../runtime/clock.ts";
import { CachedLookup } from "../lifecycle/cached_lookup.ts";

/** Shortest interval between scans of the key space; a scan costs Redis 80 ms at 200,000 keys (DESIGN §4). */
const LOOK_EVERY_MS = 10_000;
/** Longest pod name that is accepted after the prefix; Kubernetes and DNS allow 253 bytes. */
const MAX_POD_BYTES = 253;
/** A scan ends after this many names: one live heartbeat is enough. */
const MAX_NAMES = 64;

/**
 * - `alive`: a heartbeat is present. `gone`: this process has seen one, but none is left.
 * - `never_seen`: a complete scan found none. `looking`: the scan is still running.
 * - `forbidden`: the ACL forbids the commands. `failed`: Redis did not answer.
 */
export type HeartbeatState = "alive" | "gone" | "never_seen" | "looking" | "forbidden" | "failed";

/** Dependencies of {@link Heartbeats}. */
export interface HeartbeatsOptions {
  /** Keys are `<prefix>:<pod>`. */
  readonly prefix: string;
  readonly redis: RedisClient;
  readonly clock: Clock;
  readonly onRedisError?: (error: unknown) => void;
}

type Look = "looked" | "forbidden" | "failed";

/**
 * Watches the keys `<prefix>:*`. It checks known names by EXISTS. While none is alive, it scans for names in the background, in
 * small steps. The names are kept in memory only.
 */
export class Heartbeats {
  readonly #options: HeartbeatsOptions;
  readonly #look: CachedLookup<Look>;
  /** As Latin-1, one character a byte: a name need not be UTF-8. */
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

  /** Returns the current state. Sends an EXISTS for each known name; never rejects. */
  async ask(): Promise<HeartbeatState> {
    const known = await this.#askKnown();
    if (known !== "gone" && known !== "never_seen") return known;
    const look = this.#look.current();
    if (look === undefined) return "looking";
    return look === "looked" ? known : look;
  }

  /** Resolves once the scan that is due has ended. */
  whenKnown(): Promise<void> {
    return this.#look.whenKnown();
  }

  /** Aborts the scan in progress and waits for it. Safe to call twice. */
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
      // If none is found, keep the old names, so that the gate reports them as gone.
      if (names.length > 0) this.#names = names;
      return "looked";
    } catch (error) {
      signal.throwIfAborted();
      return this.#failure(error);
    }
  }

  #lookForNames(signal: AbortSignal): Promise<string[]> {
    return findNames(this.#options, signal);
  }

  #failure(error: unknown): "forbidden" | "failed" {
    this.#options.onRedisError?.(error);
    return redisErrorCode(error) === "NOPERM" ? "forbidden" : "failed";
  }
}

/**
 * Finds keys `<prefix>:<pod>` by a scan in small steps, at most {@link MAX_NAMES} of them, as Latin-1: a name need not be UTF-8.
 * Rejects with the client's errors, or if the signal aborts.
 */
export async function findNames(
  { redis, clock, prefix }: Pick<HeartbeatsOptions, "redis" | "clock" | "prefix">,
  signal: AbortSignal,
): Promise<string[]> {
  const names = new Set<string>();
  const maxBytes = Buffer.byteLength(prefix) + 1 + MAX_POD_BYTES;
  for await (const step of scanNames({ redis, clock, match: `${escapeGlob(prefix)}:*` }, signal)) {
    for (const name of step.names) if (name.length <= maxBytes) names.add(name.toString("latin1"));
    if (names.size >= MAX_NAMES) break;
  }
  return [...names].slice(0, MAX_NAMES);
}

function escapeGlob(text: string): string {
  return text.replace(/[\\*?[\]^-]/g, "\\$&");
}
