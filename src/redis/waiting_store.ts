/** Finds since when the oldest dead letter has waited in its DLQ, from the observations of all instances. */
import type { Buffer } from "node:buffer";
import type { SourcePolicy } from "../message/source_policy.ts";
import type { RedisClient } from "./cluster.ts";
import { stateKey, waitingKey } from "./keys.ts";
import { loadScript, type Script } from "./scripts.ts";
import noteWaiting from "./scripts/note_waiting.lua" with { type: "text" };

/** Bytes of each end of a message in its digest. */
const SAMPLE_BYTES = 4_096;
/** Most marks. Over a month, the gap between two marks is a tenth of the age that they show. */
const MOST_MARKS = 128;
/** How long the key is kept after the last look of any instance, in milliseconds: 30 days. */
const KEEP_MS = 2_592_000_000;

/** The state of a DLQ at one look. */
export interface Waiting {
  readonly depth: number;
  /** The server's clock. */
  readonly nowMs: number;
  /** When the oldest message was first seen in the DLQ, by the server's clock; `nowMs` if the DLQ is empty. */
  readonly sinceMs: number;
  /** Increases with each change that this service makes to the DLQ. */
  readonly sequence: string;
  /** Digest of the oldest message, equal for equal messages; `""` if the DLQ is empty. */
  readonly digest: string;
  /** Length of the longer one of the oldest and the newest message. */
  readonly longestBytes: number;
  /** The oldest message; `null` if it is the same as at the last look or exceeds `mostBytes`. */
  readonly oldest: Buffer | null;
}

/** Observes the waiting time of one DLQ. Rejects with a `StoreError`. */
export class WaitingStore {
  readonly #keys: readonly [dlq: string, state: string, waiting: string];
  readonly #note: Script;
  /** Copy of the value in Redis, in case Redis rejects writes. */
  #kept = "";
  #digest = "";

  constructor(reader: RedisClient, { dlq, push }: Pick<SourcePolicy, "dlq" | "push">) {
    this.#keys = [dlq, stateKey(dlq), waitingKey(dlq)];
    this.#note = loadScript(reader, { name: "noteWaiting", keys: 3, lua: noteWaiting, push });
  }

  /** Reads the DLQ and shares the observation with the other instances. `mostBytes`: a longer message is not returned. */
  async look({ mostBytes }: { mostBytes: number }): Promise<Waiting> {
    const details = [SAMPLE_BYTES, MOST_MARKS, KEEP_MS, this.#kept, this.#digest, mostBytes];
    const [depth, nowMs, sinceMs, sequence, digest, longestBytes, kept, oldest] = await this.#note(
      ...this.#keys,
      ...details,
    ) as [...[number, number, number, Buffer, Buffer], longestBytes: number, kept: Buffer, oldest: Buffer];
    this.#kept = String(kept);
    this.#digest = String(digest);
    return {
      ...{ depth, nowMs, sinceMs, longestBytes, sequence: String(sequence), digest: this.#digest },
      oldest: oldest.length === 0 ? null : oldest,
    };
  }
}
