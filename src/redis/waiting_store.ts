/** Since when the oldest dead letter has waited in its DLQ, as all instances together have seen it. */
import type { Buffer } from "node:buffer";
import type { RedisClient } from "./cluster.ts";
import { stateKey, waitingKey } from "./keys.ts";
import { loadScript, type Script } from "./scripts.ts";
import noteWaiting from "./scripts/note_waiting.lua" with { type: "text" };

/** Bytes of either end of a message that stand for it. */
const SAMPLE_BYTES = 4_096;
/** Most marks: over a month their gaps are a tenth of the age that they tell. */
const MOST_MARKS = 128;
/** How long the key is kept where no instance looks any more: 30 days, in milliseconds. */
const KEEP_MS = 2_592_000_000;

/** A DLQ as it was seen. */
export interface Waiting {
  readonly depth: number;
  /** The server's clock. */
  readonly nowMs: number;
  /** When the oldest message was first seen in the DLQ, by the server's clock; `nowMs` where the DLQ is empty. */
  readonly sinceMs: number;
  /** Raised by whatever this service does to the DLQ. */
  readonly sequence: string;
  /** Of the oldest message, `""` where there is none: the same for the same message. */
  readonly digest: string;
  /** Length of the longer one of the oldest and the newest message. */
  readonly longestBytes: number;
  /** The oldest message, `null` where it is the same as at the last look, or longer than was asked for. */
  readonly oldest: Buffer | null;
}

/** Looks at one DLQ. Rejects with a `StoreError`. */
export class WaitingStore {
  readonly #keys: readonly [dlq: string, state: string, waiting: string];
  readonly #note: Script;
  /** What Redis keeps, for one that takes no writes. */
  #kept = "";
  #digest = "";

  constructor(reader: RedisClient, dlq: string) {
    this.#keys = [dlq, stateKey(dlq), waitingKey(dlq)];
    this.#note = loadScript(reader, { name: "noteWaiting", keys: 3, lua: noteWaiting });
  }

  /** Looks, and lets the other instances know. `mostBytes`: a longer message is not returned. */
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
