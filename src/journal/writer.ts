/**
 * Writes entries in the background: what happens while Redis is away is recorded when it is back. Entries of one process keep
 * their order. After a lost reply an entry is written again, so it may be there twice.
 */
import { growingPauseMs, PeriodicTask, type RunResult } from "../lifecycle/periodic_task.ts";
import type { Log } from "../observability/log.ts";
import type { SharedJournal } from "../redis/journal_store.ts";
import { redisErrorCode, StoreError } from "../redis/errors.ts";
import type { Clock } from "../runtime/clock.ts";

/** Entries that may wait for Redis. More are dropped, the newest first. */
const MOST_WAITING = 200;
/** Pauses after a failure, in milliseconds. */
const RETRY_MS = 500, MAX_RETRY_MS = 30_000;
/** How long {@link JournalWriter.stop} waits for the last entries, in milliseconds. */
const LAST_MS = 1_000;

/** Dependencies of a {@link JournalWriter}. */
export interface JournalWriterDeps {
  readonly append: (journal: SharedJournal, text: string) => Promise<void>;
  /** Whether Redis is connected. */
  readonly isReady: () => boolean;
  readonly clock: Clock;
  readonly log: Log;
}

/** A queue before the journal. */
export class JournalWriter extends PeriodicTask {
  readonly #deps: JournalWriterDeps;
  readonly #waiting: { journal: SharedJournal; text: string }[] = [];
  #dropped = 0;
  #isStarted = false;
  /** Code of the failure that was logged last; empty: writing works. */
  #toldCode = "";

  constructor(deps: JournalWriterDeps) {
    super(deps);
    this.#deps = deps;
  }

  /** Queues an entry. Never throws, never waits. */
  write(journal: SharedJournal, text: string): void {
    if (this.#waiting.length >= MOST_WAITING) this.#dropped++;
    else this.#waiting.push({ journal, text });
    this.wake();
  }

  override start(): void {
    this.#isStarted = true;
    super.start();
  }

  /** Writes what waits, if Redis answers in time. Call it when nothing is recorded any more. Never rejects. */
  override async stop(): Promise<void> {
    await super.stop();
    if (!this.#isStarted) return;
    if (this.#waiting.length > 0 && this.#deps.isReady()) {
      const written = new AbortController();
      const writing = this.#writeAll().catch(() => {}).finally(() => written.abort());
      await Promise.race([writing, this.#deps.clock.sleep(LAST_MS, written.signal)]);
    }
    this.#dropped += this.#waiting.splice(0).length;
    this.#tellDropped();
  }

  protected async run(): Promise<RunResult> {
    if (this.#waiting.length === 0) return "skipped";
    if (!this.#deps.isReady()) return "failed";
    try {
      await this.#writeAll();
      this.#toldCode = "";
      this.#tellDropped();
      return "done";
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      this.#tell(error);
      return "failed";
    }
  }

  protected intervalMs(): number {
    if (this.failures === 0) return MAX_RETRY_MS;
    return growingPauseMs(this.failures, { firstMs: RETRY_MS, maxMs: MAX_RETRY_MS });
  }

  async #writeAll(): Promise<void> {
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      await this.#deps.append(next.journal, next.text);
      this.#waiting.shift();
    }
  }

  /** The connections log their own losses. */
  #tell(error: StoreError): void {
    const code = redisErrorCode(error);
    if (code === this.#toldCode || code === "CONNECTION") return;
    this.#toldCode = code;
    const message = `Remediation: cannot write to the journal (${code}); retrying`;
    this.#deps.log.warning("journal_unwritable", message, { code, reason: error.message });
  }

  #tellDropped(): void {
    if (this.#dropped === 0) return;
    const message =
      `Remediation: ${this.#dropped} entries were not written to the journal, because Redis did not take them`;
    this.#deps.log.warning("journal_dropped", message, { count: this.#dropped });
    this.#dropped = 0;
  }
}
