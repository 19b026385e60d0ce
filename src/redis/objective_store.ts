/** The counts of a source's objectives in Redis, which all instances share. Calls reject with a `StoreError`; none is retried. */
import type { RedisClient } from "./cluster.ts";
import { unknownAnswer, wrongTypeError } from "./errors.ts";
import { coarseCountsKey, countsKey } from "./keys.ts";
import { loadScript, type Script } from "./scripts.ts";
import addCounts from "./scripts/add_counts.lua" with { type: "text" };
import readCounts from "./scripts/read_counts.lua" with { type: "text" };

/** Counts without new ones expire after this time, in milliseconds: 31 days. */
const KEPT_MS = 2_678_400_000;

/** Lengths of slots in milliseconds, and how many are kept. */
export interface SlotSizes {
  readonly fineMs: number;
  readonly mostFine: number;
  readonly coarseMs: number;
  readonly mostCoarse: number;
}

/** Counts to add, and how long ago they began and ended. */
export interface AddedCounts {
  readonly fromAgeMs: number;
  readonly untilAgeMs: number;
  /** As many in every addition. */
  readonly counts: readonly number[];
}

/** How to add counts. */
export interface AddOptions {
  readonly sizes: SlotSizes;
  /** Nothing is added if the newest slot ended less than this ago, in milliseconds; 0: always add. */
  readonly leastMs: number;
  /** Most slots of each list to return. */
  readonly newest: number;
}

/** Slots as they are in Redis, the newest first. Any client may have written them. */
export interface StoredSlots {
  /** The server's clock. */
  readonly nowMs: number;
  readonly fine: readonly string[];
  readonly coarse: readonly string[];
}

/** The counts of one source. */
export class ObjectiveStore {
  readonly #keys: readonly [string, string];
  readonly #add: Script;
  readonly #read: Script;

  constructor(redis: RedisClient, { dlq }: { readonly dlq: string }) {
    this.#keys = [countsKey(dlq), coarseCountsKey(dlq)];
    this.#add = loadScript(redis, { name: "addCounts", keys: 2, lua: addCounts });
    this.#read = loadScript(redis, { name: "readCounts", keys: 2, lua: readCounts });
  }

  /**
   * Adds counts, the oldest first, and returns the newest slots. `null`: another instance has just added some. After a lost reply
   * they may have been added or not.
   */
  async add(
    added: readonly AddedCounts[],
    { sizes: { fineMs, mostFine, coarseMs, mostCoarse }, leastMs, newest }: AddOptions,
  ): Promise<StoredSlots | null> {
    const reply = await this.#add(
      ...this.#keys,
      ...[fineMs, mostFine, coarseMs, mostCoarse, KEPT_MS, leastMs, newest, added[0]?.counts.length ?? 0],
      ...added.flatMap(({ fromAgeMs, untilAgeMs, counts }) => [fromAgeMs, untilAgeMs, ...counts]),
    );
    return String(reply) === "early" ? null : this.#toSlots(reply);
  }

  /** Reads the newest slots of each list. Changes nothing. */
  async read({ newest }: { newest: number }): Promise<StoredSlots> {
    return this.#toSlots(await this.#read(...this.#keys, newest));
  }

  #toSlots(reply: unknown): StoredSlots {
    if (String(reply) === "wrong_type") {
      throw wrongTypeError(`${this.#keys.join(" or ")} is not a list: rename or delete it`);
    }
    const [nowMs, fine, coarse] = Array.isArray(reply) ? reply as [unknown, unknown, unknown] : [];
    if (typeof nowMs !== "number" || !Array.isArray(fine) || !Array.isArray(coarse)) throw unknownAnswer(reply);
    return { nowMs, fine: fine.map(String), coarse: coarse.map(String) };
  }
}
