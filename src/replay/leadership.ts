/**
 * Leader election for one source, so that instances do not repeat each other's work. Correctness does not depend on it: the
 * commit script ensures that no message moves twice.
 */
import type { LeadershipStatus, Role } from "../gates/leader.ts";
import type { Log } from "../observability/log.ts";
import type { LeaseOffer, LeaseReply, LeaseStore } from "../redis/lease_store.ts";
import { redisErrorCode } from "../redis/errors.ts";
import type { Clock } from "../runtime/clock.ts";
import { growingPauseMs, PeriodicTask, type RunResult } from "../lifecycle/periodic_task.ts";

/** How often a standby asks for the lease, in milliseconds. A released lease is taken within this time. */
const STANDBY_MS = 500;
/** The leader renews its lease after this share of its duration. */
const RENEWED_AFTER = 1 / 3;
/** Maximum pause after a failed attempt, in milliseconds. The first is {@link STANDBY_MS}; each failure doubles it. */
const MAX_RETRY_MS = 10_000;
/** How long `stop()` waits for the release of the lease, in milliseconds. */
const RELEASE_MS = 1_000;

/** The dependencies of {@link Leadership}. */
export interface LeadershipDeps {
  readonly store: LeaseStore;
  readonly enabled: boolean;
  readonly durationMs: number;
  readonly source: string;
  /** Whether Redis is connected. */
  readonly isReady: () => boolean;
  /** Whether this instance may move messages. If not, it leaves the lease to another one. */
  readonly isEligible: () => boolean;
  readonly clock: Clock;
  readonly log: Log;
  /** Called when this instance becomes leader, and when it is one no longer. */
  readonly onChange?: (event: "gained" | "lost") => void;
  /** Called with the error of each failed Redis call. */
  readonly onRedisError: (error: unknown) => void;
}

/** Holds the lease of one source from `start()` (or a first `take()`) until `stop()`. */
export class Leadership extends PeriodicTask {
  readonly #deps: LeadershipDeps;
  #reply: LeaseReply | null = null;
  /** Time of the last attempt, and the time until which its reply is valid, on the monotonic clock. */
  #askedMs = -Infinity;
  #untilMs = -Infinity;
  #errorCode = "";
  #isWanted = false;
  /** The offer of the lease, until Redis has said what came of it. `endsAtMs`: on the monotonic clock. */
  #offer: { readonly to: string; readonly endsAtMs: number } | null = null;
  #wasHandedOver = false;
  #told: { role: Role; holder: string } = { role: "unknown", holder: "" };
  #onLead: () => void = () => {};
  #isTurning: () => boolean = () => true;

  constructor(deps: LeadershipDeps) {
    super(deps);
    this.#deps = deps;
  }

  /** Attaches the loop of this source. It is woken when this instance becomes leader. While it is stuck, the lease is released. */
  attachLoop({ wake, isTurning }: { wake: () => void; isTurning: () => boolean }): void {
    this.#onLead = wake;
    this.#isTurning = isTurning;
  }

  /** Returns the role by the last reply. A lease that may have expired counts as unknown. Does no IO. */
  status(): LeadershipStatus {
    const nothing = { holder: "", token: "", leftMs: 0, errorCode: this.#errorCode };
    if (!this.#deps.enabled) return { ...nothing, role: "off" };
    const leftMs = Math.max(0, this.#untilMs - this.#deps.clock.monotonicMs());
    if (!this.#reply || leftMs === 0) return { ...nothing, role: "unknown" };
    const { isOurs, holder, token } = this.#reply;
    return { ...nothing, role: isOurs ? "leader" : "standby", holder, token, leftMs };
  }

  /** Tells whether this instance is the leader, or leader election is off. */
  leads(): boolean {
    return ["leader", "off"].includes(this.status().role);
  }

  /** Tells whether this instance leads because the leader before it handed the source over. */
  wasHandedOver(): boolean {
    return this.#wasHandedOver && this.leads();
  }

  /** Tells whether an offer of the lease stands, or its result is not known yet. */
  isOffering(): boolean {
    return this.#offer !== null;
  }

  /** Tells whether the last attempt failed. If Redis refuses it, it refuses the replay too. */
  isFailing(): boolean {
    return this.#errorCode !== "";
  }

  override start(): void {
    if (!this.#deps.enabled) return;
    this.#isWanted = true;
    super.start();
  }

  /** Tries to take the lease now. @returns its holder; `null` if leader election is off. Rejects with the client's errors. */
  async take({ force = false } = {}): Promise<LeaseReply | null> {
    this.#isWanted = this.#deps.enabled;
    return this.#isWanted ? await this.#take(force) : null;
  }

  /** Asks Redis for the lease if the next attempt is due. Otherwise does not wait for a running attempt. Never rejects. */
  async refresh(): Promise<void> {
    if (this.#isDue()) await this.runOnce();
  }

  /**
   * Offers the lease to another instance. This one leads until the other one takes it, and asks every 500 ms whether it has. Does
   * nothing if this one does not lead. Rejects with the client's errors.
   */
  async offer(offer: LeaseOffer): Promise<void> {
    const { store, clock } = this.#deps, { to, forMs } = offer;
    if (this.status().role !== "leader") return;
    this.#offer = { to, endsAtMs: Infinity };
    let isOurs = true;
    try {
      isOurs = await store.offer(offer);
    } finally {
      // Without a reply, it may stand.
      this.#offer &&= { to, endsAtMs: clock.monotonicMs() + forMs };
    }
    if (isOurs) return this.wake();
    this.#offer = null;
    this.refused();
  }

  /** Forgets the lease and asks anew, after a script has refused this instance as not the leader. */
  refused(): void {
    // If it was handed over, the next answer says to whom.
    if (this.#offer) this.#expire();
    else this.#forget();
    this.wake();
  }

  /** Releases the lease if Redis answers in time. Call it after the last move. Never rejects. */
  override async stop(): Promise<void> {
    await super.stop();
    if (!this.#isWanted) return;
    this.#isWanted = false;
    this.#offer = null;
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
    return role === "leader" && !this.#offer
      ? everyMs
      : Math.min(STANDBY_MS, everyMs, role === "standby" ? leftMs : Infinity);
  }

  /** The lease counts from before the call, so that it never expires on the server before its holder knows. */
  async #take(force: boolean): Promise<LeaseReply> {
    const { store, durationMs, clock } = this.#deps, askedMs = this.#askedMs = clock.monotonicMs();
    const reply = await store.take({ durationMs, force });
    this.#wasHandedOver = reply.wasOffered || (this.#wasHandedOver && reply.isOurs);
    this.#reply = reply;
    this.#untilMs = askedMs + reply.leftMs;
    this.#errorCode = "";
    this.#tell();
    if (this.#offer && (!reply.isOurs || askedMs > this.#offer.endsAtMs)) this.#offer = null;
    return reply;
  }

  async #giveUp(): Promise<void> {
    this.#askedMs = this.#deps.clock.monotonicMs();
    this.#errorCode = "";
    this.#offer = null;
    if (this.status().role !== "leader") return;
    await this.#deps.store.release();
    this.#forget();
  }

  #forget(): void {
    this.#expire();
    this.#tell();
  }

  #expire(): void {
    this.#reply = null;
    this.#askedMs = -Infinity;
  }

  #tell(): void {
    const { role, holder, token, errorCode } = this.status(), was = this.#told;
    const { source, log, onChange } = this.#deps;
    if (role === was.role && holder === was.holder) return;
    this.#told = { role, holder };
    if (role === "leader") onChange?.("gained");
    else if (was.role === "leader") onChange?.("lost");
    if (role === "leader") {
      const from = this.#wasHandedOver && was.holder !== "" ? `, handed over by ${was.holder}` : "";
      log.info("leader", `Remediation: this instance leads ${source}${from}`, { source, role });
      this.#onLead();
    } else if (role === "standby") {
      const isTaken = was.role === "leader" && token === this.#offer?.to;
      const text = isTaken
        ? `this instance has handed ${source} over to ${holder}, which led fewer sources`
        : `this instance stands by for ${source}; ${holder} leads`;
      log.info("leader", `Remediation: ${text}`, { source, role, holder });
    } else if (was.role === "leader") {
      const why = errorCode === "" ? "" : ` (${errorCode})`;
      log.info("leader", `Remediation: this instance no longer leads ${source}${why}`, { source, role });
    }
  }
}
