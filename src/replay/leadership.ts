/** Whether this instance leads a source. Spares instances the work of others; that nothing is moved twice rests on the commit. */
import type { LeadershipStatus, Role } from "../gates/leader.ts";
import type { Log } from "../observability/log.ts";
import type { LeaseReply, LeaseStore } from "../redis/lease_store.ts";
import { redisErrorCode } from "../redis/errors.ts";
import type { Clock } from "../runtime/clock.ts";
import { growingPauseMs, PeriodicTask, type RunResult } from "../lifecycle/periodic_task.ts";

/** How often a lease that another instance holds is asked for, in milliseconds: so soon is one that was given back taken. */
const STANDBY_MS = 500;
/** A lease is renewed after this share of it. */
const RENEWED_AFTER = 1 / 3;
/** Longest pause after an attempt that failed, in milliseconds; the first is {@link STANDBY_MS}, each next twice as long. */
const MAX_RETRY_MS = 10_000;
/** How long stopping waits for the lease to be given back, in milliseconds. */
const RELEASE_MS = 1_000;

/** What {@link Leadership} needs. */
export interface LeadershipDeps {
  readonly store: LeaseStore;
  readonly enabled: boolean;
  readonly durationMs: number;
  readonly source: string;
  /** Whether Redis can be asked now. */
  readonly isReady: () => boolean;
  /** Whether this instance could move anything; while not it gives the lease to one that can. */
  readonly isEligible: () => boolean;
  readonly clock: Clock;
  readonly log: Log;
  /** Told each failed Redis call. */
  readonly onRedisError: (error: unknown) => void;
}

/** Holds the lease of one source from `start()` (or a first `take()`) until `stop()`. Nothing is asked for before. */
export class Leadership extends PeriodicTask {
  readonly #deps: LeadershipDeps;
  #reply: LeaseReply | null = null;
  /** When the last attempt was made and until when what it said counts, on the monotonic clock. */
  #askedMs = -Infinity;
  #untilMs = -Infinity;
  #errorCode = "";
  #isWanted = false;
  #told: { role: Role; holder: string } = { role: "unknown", holder: "" };
  #onLead: () => void = () => {};
  #isTurning: () => boolean = () => true;

  constructor(deps: LeadershipDeps) {
    super(deps);
    this.#deps = deps;
  }

  /** The loop that works while this instance leads: it is woken when that begins, and a stuck one must not keep the lease. */
  attachLoop({ wake, isTurning }: { wake: () => void; isTurning: () => boolean }): void {
    this.#onLead = wake;
    this.#isTurning = isTurning;
  }

  /** The role as last found out. A lease that may be over by now is not ours. */
  status(): LeadershipStatus {
    const nothing = { holder: "", leftMs: 0, errorCode: this.#errorCode };
    if (!this.#deps.enabled) return { ...nothing, role: "off" };
    const leftMs = Math.max(0, this.#untilMs - this.#deps.clock.monotonicMs());
    if (!this.#reply || leftMs === 0) return { ...nothing, role: "unknown" };
    const { isOurs, holder } = this.#reply;
    return { ...nothing, role: isOurs ? "leader" : "standby", holder, leftMs };
  }

  /** Whether this instance may move messages, as far as this is concerned. */
  leads(): boolean {
    return ["leader", "off"].includes(this.status().role);
  }

  /** Whether the last attempt failed; what Redis refuses here it refuses the replay as well. */
  isFailing(): boolean {
    return this.#errorCode !== "";
  }

  override start(): void {
    if (!this.#deps.enabled) return;
    this.#isWanted = true;
    super.start();
  }

  /** Tries to take the lease now. @returns whose it is; `null`: there is no election. Rejects with the client's errors. */
  async take({ force = false } = {}): Promise<LeaseReply | null> {
    this.#isWanted = this.#deps.enabled;
    return this.#isWanted ? await this.#take(force) : null;
  }

  /** Asks Redis if the next attempt is due; does not wait for one in hand that is not. Never rejects. */
  async refresh(): Promise<void> {
    if (this.#isDue()) await this.runOnce();
  }

  /** A script has refused this instance: it is to find out anew before it goes on. */
  refused(): void {
    this.#forget();
    this.wake();
  }

  /** Gives the lease back, as far as Redis lets it. Call it when nothing moves any more. Never rejects. */
  override async stop(): Promise<void> {
    await super.stop();
    if (!this.#isWanted) return;
    this.#isWanted = false;
    this.#reply = null;
    if (!this.#deps.isReady()) return;
    const released = new AbortController();
    const releasing = this.#deps.store.release().catch(() => {}).finally(() => released.abort());
    await Promise.race([releasing, this.#deps.clock.sleep(RELEASE_MS, released.signal)]);
  }

  protected async run(): Promise<RunResult> {
    if (!this.#isDue()) return "skipped";
    try {
      if (this.#deps.isEligible() && this.#isTurning()) await this.#take(false);
      else await this.#giveUp();
      return "done";
    } catch (error) {
      this.#errorCode = redisErrorCode(error);
      this.#deps.onRedisError(error);
      this.#tell();
      return "failed";
    }
  }

  protected intervalMs(): number {
    return Math.max(10, this.#deps.isReady() ? this.#dueInMs() : STANDBY_MS);
  }

  #isDue(): boolean {
    return this.#isWanted && this.#dueInMs() <= 0 && this.#deps.isReady();
  }

  #dueInMs(): number {
    return this.#askedMs + this.#pauseMs() - this.#deps.clock.monotonicMs();
  }

  #pauseMs(): number {
    const { role, leftMs } = this.status(), everyMs = this.#deps.durationMs * RENEWED_AFTER;
    if (this.failures > 0) return growingPauseMs(this.failures, { firstMs: STANDBY_MS, maxMs: MAX_RETRY_MS });
    return role === "leader" ? everyMs : Math.min(STANDBY_MS, everyMs, role === "standby" ? leftMs : Infinity);
  }

  /** Counts from before the call, so that the server never takes a lease for over before its holder does. */
  async #take(force: boolean): Promise<LeaseReply> {
    const askedMs = this.#askedMs = this.#deps.clock.monotonicMs();
    const reply = await this.#deps.store.take({ durationMs: this.#deps.durationMs, force });
    this.#reply = reply;
    this.#untilMs = askedMs + reply.leftMs;
    this.#errorCode = "";
    this.#tell();
    return reply;
  }

  async #giveUp(): Promise<void> {
    this.#askedMs = this.#deps.clock.monotonicMs();
    this.#errorCode = "";
    if (this.status().role !== "leader") return;
    await this.#deps.store.release();
    this.#forget();
  }

  #forget(): void {
    this.#reply = null;
    this.#askedMs = -Infinity;
    this.#tell();
  }

  #tell(): void {
    const { role, holder, errorCode } = this.status(), was = this.#told;
    if (role === was.role && holder === was.holder) return;
    this.#told = { role, holder };
    const { source, log } = this.#deps;
    if (role === "leader") {
      log.info("leader", `Remediation: leads ${source}`, { source, role });
      this.#onLead();
    } else if (role === "standby") {
      log.info("leader", `Remediation: stands by for ${source}; ${holder} leads`, { source, role, holder });
    } else if (was.role === "leader") {
      const why = errorCode === "" ? "" : ` (${errorCode})`;
      log.info("leader", `Remediation: leads ${source} no longer${why}`, { source, role });
    }
  }
}
