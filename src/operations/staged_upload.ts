/** Stages the messages of an import in bounded chunks. A chunk without a reply is sent again: it names its offset, so it counts once. */
import type { ExportedMessage } from "../message/export_format.ts";
import { StoreError } from "../redis/errors.ts";
import type { StagingStore } from "../redis/staging_store.ts";
import type { Clock } from "../runtime/clock.ts";
import { OperationError } from "./operation.ts";

/** Most messages and bytes of a chunk, at least one message: below a millisecond of Redis. */
const CHUNK_MESSAGES = 200, CHUNK_BYTES = 102_400;
/** Attempts for a chunk, and the pause before the second one, which doubles, in milliseconds: 6 s in all. */
const ATTEMPTS = 7, FIRST_PAUSE_MS = 100;

/** What a {@link StagedUpload} needs. */
export interface StagedUploadDeps {
  readonly staging: Pick<StagingStore, "stage" | "drop">;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Time until what is staged expires, in milliseconds. */
  readonly expiresInMs: number;
}

/** One upload. Not planned yet: {@link StagedUpload.drop} forgets it. */
export class StagedUpload {
  /** Id of the job that it will be. */
  readonly job: string;
  readonly #deps: StagedUploadDeps;
  #chunk: Uint8Array[] = [];
  #chunkBytes = 0;
  #offset = 0;

  constructor(job: string, deps: StagedUploadDeps) {
    this.job = job;
    this.#deps = deps;
  }

  /** Adds messages, oldest first, and stages full chunks. Rejects with a `StoreError` or an `OperationError`. */
  async add(messages: readonly ExportedMessage[]): Promise<void> {
    for (const { bytes } of messages) {
      if (this.#chunk.length === CHUNK_MESSAGES || this.#chunkBytes + bytes.length > CHUNK_BYTES) await this.flush();
      this.#chunk.push(bytes);
      this.#chunkBytes += bytes.length;
    }
  }

  /** Stages the rest. */
  async flush(): Promise<void> {
    if (this.#chunk.length === 0) return;
    if (!await this.#stage(this.#chunk)) {
      throw new OperationError("unavailable", "what was staged is gone; nothing was added. Send the file again");
    }
    this.#offset += this.#chunk.length;
    this.#chunk = [];
    this.#chunkBytes = 0;
  }

  /** Drops what was staged. If that fails, it expires. */
  async drop(): Promise<void> {
    await this.#deps.staging.drop(this.job).catch(ignoreStoreError);
  }

  async #stage(messages: readonly Uint8Array[]): Promise<boolean> {
    const { staging, clock, signal, expiresInMs } = this.#deps;
    for (let attempt = 1;; attempt++) {
      try {
        return await staging.stage({ job: this.job, offset: this.#offset, messages, expiresInMs });
      } catch (error) {
        const mayPass = error instanceof StoreError && (error.retryable || !error.isCertain);
        if (!mayPass || attempt === ATTEMPTS || signal.aborted) throw error;
        await clock.sleep(FIRST_PAUSE_MS * 2 ** (attempt - 1), signal);
      }
    }
  }
}

function ignoreStoreError(error: unknown): void {
  if (!(error instanceof StoreError)) throw error;
}
