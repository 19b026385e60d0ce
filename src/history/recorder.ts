/**
 * Takes samples of a source for its history. Three details:
 *
 * - Only the leader takes samples. Without leader election every instance does, and none says how many messages arrived. While
 *   replay is switched off there is no leader; the first instance to try takes the sample.
 * - Counts that were not written are added to the next sample. If the reply to a sample is lost, it counts as written.
 * - A change of the gates is written at once, up to a budget: gates that flap cannot fill the history. Beyond it, the change is
 *   written with the next regular sample.
 */
import type { GateStatus } from "../gates/board.ts";
import type { DepthReading } from "../gates/depth.ts";
import { gatesThatHold } from "../gates/holding.ts";
import type { Role } from "../gates/leader.ts";
import { type Recording, recordingOf } from "../gates/recording.ts";
import { OutageLog } from "../lifecycle/outage_log.ts";
import { PeriodicTask, type RunResult } from "../lifecycle/periodic_task.ts";
import type { Log } from "../observability/log.ts";
import { StoreError } from "../redis/errors.ts";
import type { HistoryStore, SeenSource } from "../redis/history_store.ts";
import type { Totals } from "../replay/account.ts";
import type { Clock } from "../runtime/clock.ts";
import { type Counted, formatCounted, type HoldingGate } from "./sample.ts";

/** Time between two samples, in milliseconds. */
export const SAMPLE_MS = 30_000;
/** How often the gates are looked at, in milliseconds. Does no IO. */
const LOOK_MS = 1_000;
/** Samples at once that changes of the gates may take, and the time after which there is one more, in milliseconds. */
const MOST_CHANGES = 100, CHANGE_MS = 60_000;
/** Least age of the newest sample if several instances may take one, in milliseconds: at a change of the gates, and else. */
const AFTER_CHANGE_MS = 1_000, AFTER_SAMPLE_MS = SAMPLE_MS - 5_000;
/** How long the stop waits for the last sample, in milliseconds. */
const LAST_MS = 1_000;

/** Dependencies of a {@link HistoryRecorder}. */
export interface HistoryRecorderDeps {
  readonly source: string;
  readonly store: Pick<HistoryStore, "append">;
  /** Whether Redis is connected. */
  readonly isReady: () => boolean;
  /** The role of this instance for the source. */
  readonly role: () => Role;
  /** The last answers of the gates; none before the first. */
  readonly gates: () => readonly GateStatus[];
  /** What the gate `depth` has last read. */
  readonly downstream: () => DepthReading | null;
  /** What this instance has done so far. */
  readonly totals: () => Totals;
  readonly clock: Clock;
  readonly log: Log;
}

/** Writes the history of one source. Nothing waits for it, and its failures affect nothing else. */
export class HistoryRecorder extends PeriodicTask {
  readonly #deps: HistoryRecorderDeps;
  readonly #outages: OutageLog;
  #written: Totals = { moved: 0, replayed: 0, dead: 0, cameBack: 0 };
  /** What the last sample found; `null`: there is nothing to compare with. */
  #seen: SeenSource | null = null;
  #heldBy: readonly HoldingGate[] = [];
  #triedMs = -Infinity;
  #hasFailed = false;
  #changes = MOST_CHANGES;
  #changesMs: number;

  constructor(deps: HistoryRecorderDeps) {
    super({ clock: deps.clock });
    this.#deps = deps;
    this.#outages = new OutageLog(deps);
    this.#changesMs = deps.clock.monotonicMs();
  }

  /** Writes what was counted since the last sample, if Redis answers in time. Never rejects. */
  override async stop(): Promise<void> {
    await super.stop();
    const { totals, clock } = this.#deps,
      hasMore = Object.values(this.#countSince(totals())).some((count) => count > 0);
    if (!hasMore || this.#recording() !== "always" || !this.#deps.isReady()) return;
    const written = new AbortController();
    const writing = this.#write(this.#look(), 0).catch(() => {}).finally(() => written.abort());
    await Promise.race([writing, clock.sleep(LAST_MS, written.signal)]);
  }

  protected async run(): Promise<RunResult> {
    const { isReady, gates } = this.#deps, recording = this.#recording();
    // Another instance may move messages meanwhile.
    if (recording !== "always") this.#seen = null;
    if (!isReady() || gates().length === 0 || recording === "never") return "skipped";
    const { clock } = this.#deps, nowMs = clock.monotonicMs();
    const held = this.#look(), isDue = nowMs - this.#triedMs >= SAMPLE_MS;
    if (!isDue && (this.#hasFailed || !this.#isChange(held) || !this.#spendChange(nowMs))) return "skipped";
    this.#triedMs = nowMs;
    return await this.#write(held, recording === "always" ? 0 : isDue ? AFTER_SAMPLE_MS : AFTER_CHANGE_MS);
  }

  protected intervalMs(): number {
    return LOOK_MS;
  }

  #recording(): Recording {
    return recordingOf(this.#deps.role(), this.#deps.gates());
  }

  #look(): readonly HoldingGate[] {
    const { gates, clock } = this.#deps;
    return gatesThatHold(gates(), clock.nowMs());
  }

  #isChange(held: readonly HoldingGate[]): boolean {
    return namesOf(held) !== namesOf(this.#heldBy);
  }

  /** Takes one of the changes that are left. */
  #spendChange(nowMs: number): boolean {
    const more = Math.floor((nowMs - this.#changesMs) / CHANGE_MS);
    this.#changes = Math.min(MOST_CHANGES, this.#changes + more);
    this.#changesMs += more * CHANGE_MS;
    if (this.#changes === 0) return false;
    this.#changes--;
    return true;
  }

  #countSince({ moved, replayed, dead, cameBack }: Totals): Totals {
    const last = this.#written;
    return {
      moved: moved - last.moved,
      replayed: replayed - last.replayed,
      dead: dead - last.dead,
      cameBack: cameBack - last.cameBack,
    };
  }

  async #write(held: readonly HoldingGate[], leastMs: number): Promise<RunResult> {
    const { store, totals, role, source } = this.#deps, now = totals(), since = this.#countSince(now);
    const last = this.#seen && role() === "leader" && !this.#seen.hasJob ? { ...this.#seen, moved: since.moved } : null;
    try {
      this.#seen = await store.append(formatCounted(this.#counted(since, held)), { last, leastMs });
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      this.#hasFailed = true;
      this.#seen = null;
      if (!error.isCertain) this.#written = now;
      this.#tell(error);
      return "failed";
    }
    this.#heldBy = held;
    this.#hasFailed = false;
    // Another instance has just taken one.
    if (this.#seen === null) return "done";
    this.#written = now;
    this.#outages.up(({ lasted }) => ({
      event: "history_written",
      message: `Remediation: the history of ${source} is written again after ${lasted}`,
      fields: { source },
    }));
    return "done";
  }

  #counted({ replayed, dead, cameBack }: Totals, held: readonly HoldingGate[]): Counted {
    const reading = this.#deps.downstream();
    return {
      ...{ replayed, dead, cameBack, limit: reading?.limit ?? null },
      downstream: reading && reading.depths.reduce((sum, depth) => sum + depth, 0),
      heldBy: held.map((gate) =>
        this.#heldBy.some(({ name, reason }) => name === gate.name && reason === gate.reason)
          ? { ...gate, detail: "" }
          : gate
      ),
    };
  }

  /** The connections log their own losses. */
  #tell({ code, message }: StoreError): void {
    if (code === "CONNECTION") return;
    const { source } = this.#deps;
    this.#outages.down(code, {
      event: "history_unwritable",
      message: `Remediation: cannot write the history of ${source} (${code}), which only charts need; retrying`,
      fields: { source, code, reason: message },
    });
  }
}

function namesOf(held: readonly HoldingGate[]): string {
  return held.map(({ name }) => name).join(" ");
}
