/** Reads the history of a source on request, and keeps it: each read asks Redis only for what is new. */
import { StoreError } from "../redis/errors.ts";
import type { HistoryStore } from "../redis/history_store.ts";
import type { Clock } from "../runtime/clock.ts";
import { parseSample, type Sample } from "./sample.ts";

/** Longest time that can be looked back at, in milliseconds. */
export const HISTORY_MS = 86_400_000;
/** Longest age of an answer that is returned again, in milliseconds. */
const SAME_MS = 1_000;
/** Samples per read of Redis (about 1 ms of its time), and maximum reads in a row: enough for a full history. */
const PAGE = 200, MOST_PAGES = 30;
/** Most samples that are kept. */
const MOST_SAMPLES = 5_000;

/** The history of a source as last read. */
export interface History {
  /** Of the last 24 hours, oldest first. */
  readonly samples: readonly Sample[];
  /** The server's clock now, as far as it is known. */
  readonly nowMs: number;
  /** Time of the last successful read while Redis cannot be read, by this machine's clock; `null`: the samples are current. */
  readonly staleSinceMs: number | null;
}

/** Dependencies of a {@link HistoryReader}. */
export interface HistoryReaderDeps {
  readonly store: Pick<HistoryStore, "read">;
  readonly clock: Clock;
  /** Whether Redis is connected. */
  readonly isReady: () => boolean;
}

/** Shared by all that ask for this source. */
export class HistoryReader {
  readonly #deps: HistoryReaderDeps;
  #samples: readonly Sample[] = [];
  /** Id from which the next read begins. */
  #from = "-";
  /** The server's clock at the last read, and when that was. */
  #read: { readonly serverMs: number; readonly nowMs: number; readonly monotonicMs: number } | null = null;
  /** When the first of the reads that failed in a row was; `null`: the last one succeeded. */
  #failedAtMs: number | null = null;
  #inHand: Promise<void> | null = null;

  constructor(deps: HistoryReaderDeps) {
    this.#deps = deps;
  }

  /** Returns the history. Reads Redis if the last read is more than a second old. Rejects only for a bug. */
  async read(): Promise<History> {
    const { clock } = this.#deps;
    if (!this.#read || this.#failedAtMs !== null || clock.monotonicMs() - this.#read.monotonicMs >= SAME_MS) {
      await (this.#inHand ??= this.#load().finally(() => this.#inHand = null));
    }
    const read = this.#read;
    const nowMs = read ? Math.round(read.serverMs + clock.monotonicMs() - read.monotonicMs) : clock.nowMs();
    return {
      samples: this.#samples,
      nowMs,
      staleSinceMs: this.#failedAtMs === null ? null : read?.nowMs ?? this.#failedAtMs,
    };
  }

  async #load(): Promise<void> {
    const { isReady, clock } = this.#deps;
    try {
      if (!isReady()) return this.#fail();
      for (let page = 0; page < MOST_PAGES && await this.#loadPage(); page++);
      this.#failedAtMs = null;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      this.#fail();
    }
    const oldestMs = (this.#read?.serverMs ?? clock.nowMs()) - HISTORY_MS;
    const first = this.#samples.findIndex(({ atMs }) => atMs >= oldestMs);
    this.#samples = first < 0 ? [] : this.#samples.slice(Math.max(first, this.#samples.length - MOST_SAMPLES));
  }

  /** Returns whether there may be more. */
  async #loadPage(): Promise<boolean> {
    const { store, clock } = this.#deps;
    const { nowMs: serverMs, samples } = await store.read({ from: this.#from, count: PAGE });
    this.#read = { serverMs, nowMs: clock.nowMs(), monotonicMs: clock.monotonicMs() };
    const last = samples.at(-1);
    if (last) {
      this.#from = idAfter(last.id);
      this.#samples = [...this.#samples, ...samples.flatMap((raw) => parseSample(raw) ?? [])];
    }
    return samples.length === PAGE;
  }

  #fail(): void {
    this.#failedAtMs ??= this.#deps.clock.nowMs();
  }
}

/** The least id after this one. Redis 6.0 knows no open ranges. */
function idAfter(id: string): string {
  const [ms = "0", sequence = "0"] = id.split("-");
  return `${ms}-${BigInt(sequence) + 1n}`;
}
