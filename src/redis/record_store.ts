/**
 * Keeps the stamps that a source records beside its messages. A commit writes them in the step that moves the messages, and deletes the
 * oldest ones if there are too many. Those whose time is over are deleted here, a few at a time: Redis would delete a large hash that
 * expires at once, and answer nobody meanwhile (2 ms for each thousand records).
 */
import type { RecordCount } from "../cycle/chunk.ts";
import type { SourcePolicy } from "../message/source_policy.ts";
import type { RecordChange } from "../message/stamp_record.ts";
import type { RedisClient } from "./cluster.ts";
import { unknownAnswer } from "./errors.ts";
import { recordOrderKey, recordsKey } from "./keys.ts";
import { loadScript, type Script } from "./scripts.ts";
import trimRecords from "./scripts/trim_records.lua" with { type: "text" };

/**
 * Most records of a source: 114 MB of Redis' memory, at most 140 if all counts are long (bench/figures.md). A cycle whose messages nearly
 * all come back is recognised up to this number of replays.
 */
export const MAX_RECORDS = 1_000_000;
/** Entries and keys that one call of {@link RecordStore.trim} looks at: about a millisecond of Redis' time. */
const LOOKED_AT = 500;

/** Result of a trim. */
export interface Trimmed extends RecordCount {
  /** Whether there may be more to delete. */
  readonly hasMore: boolean;
}

/** Returns the keys of a source's records for a commit. */
export function recordKeys({ dlq }: Pick<SourcePolicy, "dlq">): readonly [records: string, order: string] {
  return [recordsKey(dlq), recordOrderKey(dlq)];
}

/** Returns the arguments of keep_records.lua. */
export function recordArguments(
  changes: readonly RecordChange[],
  { keepMs, most }: { keepMs: number; most: number },
): (string | number)[] {
  return [changes.map(({ key, text }) => `${key} ${text ?? ""}\n`).join(""), most, Math.ceil(keepMs / 1_000)];
}

/** The records of one source. Calls reject with a `StoreError`; safe to repeat. Any number of instances may call it. */
export class RecordStore {
  readonly #keys: readonly [records: string, order: string];
  readonly #keepMs: number;
  readonly #trim: Script;

  constructor(redis: RedisClient, { policy, keepMs }: { policy: Pick<SourcePolicy, "dlq">; keepMs: number }) {
    this.#keys = recordKeys(policy);
    this.#keepMs = keepMs;
    this.#trim = loadScript(redis, { name: "trimRecords", keys: 2, lua: trimRecords });
  }

  /** Deletes some of the records whose time is over. */
  async trim(): Promise<Trimmed> {
    const reply = await this.#trim(...this.#keys, MAX_RECORDS, Math.ceil(this.#keepMs / 1_000), LOOKED_AT);
    if (!Array.isArray(reply)) throw unknownAnswer(reply);
    const [looked, evicted, kept] = reply as [number, number, number];
    return { kept, evicted, hasMore: looked >= LOOKED_AT };
  }
}
