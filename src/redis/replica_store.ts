/** The instances that run, in one small value that each of them refreshes. Calls reject with a `StoreError`. */
import type { RedisClient } from "./cluster.ts";
import { throwStoreError, unknownAnswer, wrongTypeError } from "./errors.ts";
import { replicasKey } from "./keys.ts";
import type { Instance } from "./lease_store.ts";
import { loadScript, type Script } from "./scripts.ts";
import refreshReplica from "./scripts/refresh_replica.lua" with { type: "text" };

/** An instance that has not been seen for this long has gone, in milliseconds. */
const GONE_MS = 60_000;
/** Most instances, and most bytes of the value. */
const MOST_REPLICAS = 100, MOST_BYTES = 262_144;
/** Most bytes of an entry. */
const MOST_ENTRY_BYTES = 2_000;

/** An instance as it was last seen. */
export interface SeenReplica {
  readonly token: string;
  /** By the server's clock. */
  readonly seenMs: number;
  /** How long ago that is, in milliseconds. */
  readonly agoMs: number;
  /** What the instance says of itself. Any client may have written it. */
  readonly entry: string;
}

/** Refreshes the entry of this instance, and reads those of all. */
export class ReplicaStore {
  readonly #redis: RedisClient;
  readonly #refresh: Script;
  readonly #token: string;

  constructor(redis: RedisClient, { token }: Pick<Instance, "token">) {
    this.#redis = redis;
    this.#refresh = loadScript(redis, { name: "refreshReplica", keys: 1, lua: refreshReplica });
    this.#token = token;
  }

  /** Writes the entry of this instance: one line of at most 2,000 bytes. @throws RangeError if it is longer */
  async refresh(entry: string): Promise<void> {
    if (entry === "" || entry.includes("\n") || new TextEncoder().encode(entry).length > MOST_ENTRY_BYTES) {
      throw new RangeError("The entry of an instance is empty, too long, or of several lines");
    }
    await this.#write(entry);
  }

  /** Removes the entry of this instance. */
  async remove(): Promise<void> {
    await this.#write("");
  }

  /** Reads the instances seen in the last minute by the server's clock, unordered. */
  async read(): Promise<readonly SeenReplica[]> {
    const [text, [seconds]] = await Promise.all([
      this.#redis.getrange(replicasKey(), 0, MOST_BYTES - 1),
      this.#redis.time(),
    ]).catch(throwStoreError);
    return parseReplicas(text, Number(seconds) * 1_000);
  }

  async #write(entry: string): Promise<void> {
    const reply = String(
      await this.#refresh(replicasKey(), this.#token, entry, GONE_MS, MOST_REPLICAS, MOST_BYTES),
    );
    if (reply === "wrong_type") throw wrongTypeError(`${replicasKey()} is not a string: rename or delete it`);
    if (reply !== "ok") throw unknownAnswer(reply);
  }
}

/** Parses the lines, without those of instances that have gone. Never throws. */
function parseReplicas(text: string, nowMs: number): SeenReplica[] {
  return text.split("\n").flatMap((line) => {
    const [, seen, token, entry] = /^(\d{1,15}) (\S{1,100}) (.+)$/.exec(line) ?? [];
    const agoMs = nowMs - Number(seen);
    if (seen === undefined || agoMs > GONE_MS) return [];
    return [{ token: token!, seenMs: Number(seen), agoMs, entry: entry! }];
  });
}
