/**
 * The counts of one source's objectives, in Redis, so that every instance and every restart reports the same windows. They have a
 * structure of their own beside the history: a window may be 30 days, and a start must not read a day of samples (0.5 MB). Three
 * details:
 *
 * - Who counts samples: as for the history, the leader; without leader election every instance; while replay is switched off the
 *   first instance to try. Replays are counted by the instance that moved them.
 * - Counts that were not written are reported by this instance, and written later at their time. If the reply to a write is lost,
 *   it counts as written: an event may be missing, but is never counted twice.
 * - This instance reads what others have written at the same interval, and reports from memory.
 */
import type { GateStatus } from "../gates/board.ts";
import type { Role } from "../gates/leader.ts";
import { type Recording, recordingOf } from "../gates/recording.ts";
import { samplePeriodMs } from "../config/objective_limits.ts";
import { OutageLog } from "../lifecycle/outage_log.ts";
import { PeriodicTask, type RunResult } from "../lifecycle/periodic_task.ts";
import type { Log } from "../observability/log.ts";
import { StoreError } from "../redis/errors.ts";
import type { ObjectiveStore, StoredSlots } from "../redis/objective_store.ts";
import type { Clock } from "../runtime/clock.ts";
import type { SloCount, SloName } from "./objectives.ts";
import { joinNewest } from "./slot_copy.ts";
import {
  addEvents,
  addToSlots,
  chooseSlots,
  COARSE_MS,
  type Counts,
  countWindow,
  fineSlotMs,
  hasEvents,
  MOST_COARSE,
  MOST_FINE,
  NO_COUNTS,
  type NumberedSlot,
  type Slot,
  type WindowCounts,
} from "./slots.ts";

/** Slots of each list that a read returns. One or two have changed since the last read. */
const NEWEST = 4;
/** More than there are. */
const ALL = Math.max(MOST_FINE, MOST_COARSE) + 1;
/** Slots that one write adds, at most. There is more than one only after an outage. */
const MOST_PER_WRITE = 32;
/** How long what was read counts as current, in milliseconds. */
const FRESH_MS = 15_000;
/** Least age of the newest slot if several instances may write, as a share of the interval. */
const LEAST_SHARE = 0.8;
/** How long the stop waits for the last write, in milliseconds. */
const LAST_MS = 1_000;

/** Dependencies of {@link SharedCounts}. */
export interface SharedCountsDeps {
  readonly source: string;
  readonly store: Pick<ObjectiveStore, "add" | "read">;
  /** Whether Redis is connected. */
  readonly isReady: () => boolean;
  /** The role of this instance for the source. */
  readonly role: () => Role;
  /** The last answers of the gates. */
  readonly gates: () => readonly Pick<GateStatus, "name" | "reason">[];
  /** Length of the window in milliseconds. It can change at run time. */
  readonly windowMs: () => number;
  readonly clock: Clock;
  readonly log: Log;
}

/** Adds what this instance counts to what Redis has, and reports windows over both. */
export class SharedCounts extends PeriodicTask {
  readonly #deps: SharedCountsDeps;
  readonly #outages: OutageLog;
  readonly #createdAtMs: number;
  /** What Redis has, oldest first, by the server's clock. */
  #fine: readonly NumberedSlot[] = [];
  #coarse: readonly NumberedSlot[] = [];
  /** The last read: the server's clock, and both clocks of this machine. */
  #read: { readonly serverMs: number; readonly nowMs: number; readonly monotonicMs: number } | null = null;
  /** Counts since the last run, and when this instance began to record them, by its monotonic clock; `null`: it does not. */
  #open: Counts = NO_COUNTS;
  #openSinceMs: number | null = null;
  /** What this instance has counted and Redis does not have, oldest first, by the monotonic clock. */
  #unwritten: readonly Slot[] = [];
  /** The part of it that is being written. */
  #inHand: readonly Slot[] = [];

  constructor(deps: SharedCountsDeps) {
    super({ clock: deps.clock });
    this.#deps = deps;
    this.#outages = new OutageLog(deps);
    this.#createdAtMs = deps.clock.nowMs();
  }

  /** Counts events, unless they are samples that another instance records. Does no IO. */
  add(slo: SloName, counts: Partial<SloCount>): void {
    if (slo === "redrive_success" || this.#recording() !== "never") this.#open = addEvents(this.#open, slo, counts);
  }

  /** Counts the window that ends now: what Redis had at the last read, and what it does not have yet. Does no IO. */
  over(windowMs: number): WindowCounts {
    const nowMs = this.#serverMs(), monotonicMs = this.#deps.clock.monotonicMs();
    const shared = chooseSlots({ fine: this.#fine, coarse: this.#coarse }, { nowMs, windowMs });
    const own = [...this.#inHand, ...this.#unwritten, ...this.#openSlot(monotonicMs)].map((slot) => ({
      ...slot,
      fromMs: nowMs - (monotonicMs - slot.fromMs),
      untilMs: nowMs - (monotonicMs - slot.untilMs),
    }));
    return countWindow([...shared, ...own], { nowMs, windowMs });
  }

  /** Returns when Redis was last read, by this machine's clock, if that is more than 15 s ago, or the start; `null`: current. */
  staleSinceMs(): number | null {
    const read = this.#read;
    if (!read) return this.#createdAtMs;
    return this.#deps.clock.monotonicMs() - read.monotonicMs > FRESH_MS ? read.nowMs : null;
  }

  /** Writes what was counted since the last run, if Redis answers in time. Never rejects. */
  override async stop(): Promise<void> {
    await super.stop();
    this.#close();
    if (!this.#deps.isReady() || !this.#unwritten.some(({ counts }) => counts.some((count) => count > 0))) return;
    const written = new AbortController();
    const writing = this.#write().catch(() => {}).finally(() => written.abort());
    await Promise.race([writing, this.#deps.clock.sleep(LAST_MS, written.signal)]);
  }

  protected async run(): Promise<RunResult> {
    this.#close();
    if (!this.#deps.isReady()) return "skipped";
    try {
      do await this.#write(); while (this.#unwritten.length > 0);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      this.#tell(error);
      return "failed";
    }
    const { source } = this.#deps;
    this.#outages.up(({ lasted }) => ({
      event: "objectives_shared",
      message: `Remediation: the counts of the objectives of ${source} are shared again after ${lasted}`,
      fields: { source },
    }));
    return "done";
  }

  protected intervalMs(): number {
    return samplePeriodMs(this.#deps.windowMs());
  }

  #recording(): Recording {
    return recordingOf(this.#deps.role(), this.#deps.gates());
  }

  /** Moves the open counts to the unwritten slots. */
  #close(): void {
    const { clock, windowMs } = this.#deps, nowMs = clock.monotonicMs();
    for (const slot of this.#openSlot(nowMs)) {
      this.#unwritten = addToSlots(this.#unwritten, slot, { slotMs: fineSlotMs(windowMs()), most: MOST_FINE });
    }
    this.#open = NO_COUNTS;
    this.#openSinceMs = this.#recording() === "never" ? null : nowMs;
  }

  /** The open counts as a slot; none if nothing was recorded. */
  #openSlot(nowMs: number): readonly Slot[] {
    if (this.#openSinceMs === null && this.#open.every((count) => count === 0)) return [];
    return [{ fromMs: this.#openSinceMs ?? nowMs, untilMs: nowMs, counts: this.#open }];
  }

  /** Writes the oldest unwritten slots and takes over what Redis has then. Only reads if there are none. */
  async #write(): Promise<void> {
    const { store, clock } = this.#deps, sent = this.#unwritten.slice(0, MOST_PER_WRITE);
    if (sent.length === 0) return await this.#take(await store.read({ newest: NEWEST }));
    const nowMs = clock.monotonicMs();
    const added = sent.map(({ fromMs, untilMs, counts }) => ({
      ...{ fromAgeMs: Math.round(nowMs - fromMs), untilAgeMs: Math.round(nowMs - untilMs), counts },
    }));
    this.#inHand = sent;
    this.#unwritten = this.#unwritten.slice(sent.length);
    let isAnswered = false;
    try {
      // `null`: another instance has counted this time.
      const stored = await store.add(added, this.#addOptions(sent));
      isAnswered = true;
      await this.#take(stored ?? await store.read({ newest: NEWEST }));
    } catch (error) {
      const isUnwritten = !isAnswered && error instanceof StoreError && error.isCertain;
      if (isUnwritten) this.#unwritten = [...this.#inHand, ...this.#unwritten];
      throw error;
    } finally {
      this.#inHand = [];
    }
  }

  #addOptions(sent: readonly Slot[]) {
    const sizes = {
      ...{ fineMs: fineSlotMs(this.#deps.windowMs()), mostFine: MOST_FINE },
      ...{ coarseMs: COARSE_MS, mostCoarse: MOST_COARSE },
    };
    // Replay may have been switched off behind a replay that only this instance has counted.
    const mayBeCounted = this.#recording() === "if_first" &&
      !sent.some(({ counts }) => hasEvents(counts, "redrive_success"));
    const leastMs = mayBeCounted ? Math.floor(this.intervalMs() * LEAST_SHARE) : 0;
    return { sizes, leastMs, newest: NEWEST };
  }

  /** Joins the newest slots to those that this instance knows. Reads all if some are missing in between. */
  async #take(stored: StoredSlots): Promise<void> {
    const { clock, store } = this.#deps;
    let { nowMs: serverMs } = stored;
    let fine = joinNewest(this.#fine, stored.fine, { most: MOST_FINE, asked: NEWEST });
    let coarse = joinNewest(this.#coarse, stored.coarse, { most: MOST_COARSE, asked: NEWEST });
    if (!fine || !coarse) {
      const all = await store.read({ newest: ALL });
      serverMs = all.nowMs;
      fine = joinNewest([], all.fine, { most: MOST_FINE, asked: Infinity });
      coarse = joinNewest([], all.coarse, { most: MOST_COARSE, asked: Infinity });
    }
    [this.#fine, this.#coarse, this.#inHand] = [fine!, coarse!, []];
    this.#read = { serverMs, nowMs: clock.nowMs(), monotonicMs: clock.monotonicMs() };
  }

  /** The server's clock, as far as it is known. */
  #serverMs(): number {
    const { clock } = this.#deps, read = this.#read;
    return read ? Math.round(read.serverMs + clock.monotonicMs() - read.monotonicMs) : clock.nowMs();
  }

  /** The connections log their own losses. */
  #tell({ code, message }: StoreError): void {
    if (code === "CONNECTION") return;
    const { source } = this.#deps;
    this.#outages.down(code, {
      event: "objectives_unshared",
      message: `Remediation: cannot share the counts of the objectives of ${source} (${code}); ` +
        "this instance reports what it knows and what it counts itself; retrying",
      fields: { source, code, reason: message },
    });
  }
}
