/** Appends samples to the history of a source, and reads them. Calls reject with a `StoreError`; none is retried. */
import type { SourcePolicy } from "../message/source_policy.ts";
import type { RedisClient } from "./cluster.ts";
import { unknownAnswer, wrongTypeError } from "./errors.ts";
import { historyKey, shelfKey, stateKey } from "./keys.ts";
import { loadScript, type Script } from "./scripts.ts";
import readHistory from "./scripts/read_history.lua" with { type: "text" };
import recordSample from "./scripts/record_sample.lua" with { type: "text" };

/** How many samples a history keeps; somewhat more, because Redis trims whole nodes. */
const SAMPLES_KEPT = 4_000;
/** A history without new samples expires after this time, in milliseconds: 25 hours. */
const KEPT_MS = 90_000_000;

/** What a source had when the caller last took a sample, and what it has moved since; `null`: not known. */
export interface LastSeen {
  readonly depth: number;
  /** Messages that jobs had picked so far. */
  readonly picked: string;
  /** Messages that the caller has taken out of the DLQ since. */
  readonly moved: number;
}

/** What a source has at the instant of a sample. */
export interface SeenSource {
  readonly depth: number;
  readonly picked: string;
  /** Whether a job runs. */
  readonly hasJob: boolean;
}

/** What a sample is compared with. */
export interface AppendOptions {
  readonly last: LastSeen | null;
  /** Least age of the newest sample, in milliseconds; 0: any. */
  readonly leastMs: number;
}

/** A sample as it is in Redis. */
export interface RawSample {
  /** Id in the stream: `<milliseconds>-<sequence>`, by the server's clock. */
  readonly id: string;
  /** Any client may have written them. */
  readonly fields: ReadonlyMap<string, string>;
}

/** The history of one source. */
export class HistoryStore {
  readonly #history: string;
  readonly #keys: readonly string[];
  readonly #record: Script;
  readonly #read: Script;

  constructor(redis: RedisClient, { dlq, dead, target }: Pick<SourcePolicy, "dlq" | "dead" | "target">) {
    this.#history = historyKey(dlq);
    this.#keys = [this.#history, dlq, stateKey(dlq), shelfKey(dlq), dead, target];
    this.#record = loadScript(redis, { name: "recordSample", keys: 6, lua: recordSample });
    this.#read = loadScript(redis, { name: "readHistory", keys: 1, lua: readHistory });
  }

  /**
   * Appends a sample with the depths of this instant. `counted`: JSON. `null`: the newest sample is younger than `leastMs`. After a lost
   * reply it may be there or not.
   */
  async append(counted: string, { last, leastMs }: AppendOptions): Promise<SeenSource | null> {
    const since = last === null ? ["", "", 0] : [last.depth, last.picked, last.moved];
    const reply = await this.#record(...this.#keys, SAMPLES_KEPT, KEPT_MS, counted, ...since, leastMs);
    if (String(reply) === "early") return null;
    if (!Array.isArray(reply)) throw this.#refusal(reply);
    const [depth, picked, hasJob] = reply as [number, unknown, number];
    return { depth, picked: String(picked), hasJob: hasJob === 1 };
  }

  /** Reads samples from an id on (`-`: the oldest), oldest first, and the server's clock. Changes nothing. */
  async read({ from, count }: { from: string; count: number }): Promise<{ nowMs: number; samples: RawSample[] }> {
    const reply = await this.#read(this.#history, from, count);
    if (!Array.isArray(reply)) throw this.#refusal(reply);
    const [nowMs, ...samples] = reply as [number, ...[unknown, unknown[]][]];
    return { nowMs, samples: samples.map(toRawSample) };
  }

  #refusal(reply: unknown): Error {
    return String(reply) === "wrong_type"
      ? wrongTypeError(`${this.#history} is not a stream: rename or delete it`)
      : unknownAnswer(reply);
  }
}

function toRawSample([id, flat]: [unknown, unknown[]]): RawSample {
  const fields = new Map<string, string>();
  for (let i = 0; i + 1 < flat.length; i += 2) fields.set(String(flat[i]), String(flat[i + 1]));
  return { id: String(id), fields };
}
