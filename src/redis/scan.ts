/** Scans the names of keys in small steps, so that other clients hardly notice. */
import type { Buffer } from "node:buffer";
import type { Clock } from "../runtime/clock.ts";
import { unlessAborted } from "../lifecycle/cached_lookup.ts";
import { masters, type RedisClient } from "./cluster.ts";

/** Most keys that one SCAN step examines; this takes Redis 0.2 ms. */
const SCAN_COUNT = 500;
/** After a reply with more bytes of names than this, the next step examines a quarter of the keys. A name may have 512 MB. */
const LARGE_ANSWER_BYTES = 65_536;
/** SCAN steps in a row before a pause of {@link PAUSE_MS} for other clients. */
const STEPS_IN_A_ROW = 10;
const PAUSE_MS = 10;

/** What to scan. */
export interface ScanOptions {
  readonly redis: RedisClient;
  readonly clock: Clock;
  /** A glob that the names match; default: all. */
  readonly match?: string;
  /** The only type of key to return; default: every type. */
  readonly type?: "list";
}

/** The names that one step found, and how many keys it examined, by Redis' own estimate. */
export interface ScanStep {
  readonly names: readonly Buffer[];
  readonly looked: number;
}

/**
 * Walks over the names of all keys, on a cluster of every master. A name may come twice. Leave the loop to end the scan early.
 * Rejects with the client's errors, or if the signal aborts.
 */
export async function* scanNames(
  { redis, clock, match, type }: ScanOptions,
  signal: AbortSignal,
): AsyncGenerator<ScanStep> {
  for (const server of masters(redis)) {
    let cursor = "0";
    // Begin with one key: the length of the names is not known before the first reply.
    for (let step = 1, count = 1;; step++) {
      const words = [...match === undefined ? [] : ["MATCH", match], "COUNT", count, ...type ? ["TYPE", type] : []];
      // The client's types know only some orders of these words.
      const scan = server.scanBuffer(cursor, ...words as ["COUNT", number]);
      const [next, names] = await unlessAborted(scan, signal);
      yield { names, looked: count };
      const bytes = names.reduce((sum, name) => sum + name.length, 0);
      count = bytes > LARGE_ANSWER_BYTES ? Math.max(1, count >> 2) : Math.min(SCAN_COUNT, count * 2);
      cursor = String(next);
      if (cursor === "0") break;
      if (step % STEPS_IN_A_ROW === 0) await clock.sleep(PAUSE_MS, signal);
    }
  }
}
