/** Whether this instance leads a source. Spares instances the work of others; that nothing is moved twice rests on the commit. */
import type { Log } from "../observability/log.ts";
import type { LeaseReply, LeaseStore } from "../redis/lease_store.ts";
import { redisErrorCode } from "../redis/errors.ts";
import type { Clock } from "../runtime/clock.ts";
import { Watch } from "./watch.ts";

/** How often a lease that another instance holds is asked for, in milliseconds: so soon is one that was given back taken. */
const STANDBY_MS = 500;
/** A lease is renewed after this share of it. */
const RENEWED_AFTER = 1 / 3;

/** What this instance is to a source. `off`: there is no election. `unknown`: not found out yet, or not any more. */
export const ROLES = ["leader", "standby", "unknown", "off"] as const;
/** One of {@link ROLES}. */
export type Role = (typeof ROLES)[number];

/** The role, and who leads. */
export interface LeadershipStatus {
  readonly role: Role;
  /** Name of the instance that leads; empty where that is not known. */
  readonly holder: string;
  /** For how long the lease is held still, in milliseconds. */
  readonly leftMs: number;
  /** Code of the failed Redis call because of which the role is not known; empty: none. */
  readonly errorCode: string;
}

/** What {@link Leadership} needs. */
export interface LeadershipDeps {
  readonly store: LeaseStore;
  readonly enabled: boolean;
  readonly durationMs: number;
  readonly source: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Told each failed Redis call, for counting. */
  readonly onRedisError: (error: unknown) => void;
  /** Called when this instance begins or ceases to lead. */
  readonly onChange: (leads: boolean) => void;
}

/** Holds the lease of one source from `start()` (or a first `take()`) until `stop()`. Nothing is asked for before. */
export class Leadership extends Watch {
  readonly #deps: LeadershipDeps;
  #reply: LeaseReply | null = null;
  /** When the last attempt was made and until when what it said counts, on the monotonic clock. */
  #askedMs = -Infinity;
  #untilMs = -Infinity;
  #errorCode = "";
  #isWanted = false;
  #asking: Promise<void> | null = null;
  #told: Role = "unknown";
  readonly #listeners: (() => void)[] = [];

  constructor(deps: LeadershipDeps) {
    super(deps.clock);
    this.#deps = deps;
    if (!deps.enabled) deps.onChange(true);
  }

  /** Has `listener` called whenever this instance begins to lead. */
  onLead(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** The role as last found out. A lease that may be over by now is not ours. */
  status(): LeadershipStatus {
    if (!this.#deps.enabled) return { role: "off", holder: "", leftMs: 0, errorCode: "" };
    const leftMs = Math.max(0, this.#untilMs - this.#deps.clock.monotonicMs());
    if (!this.#reply || leftMs === 0) return { role: "unknown", holder: "", leftMs: 0, errorCode: this.#errorCode };
    const { isOurs, holder } = this.#reply;
    return { role: isOurs ? "leader" : "standby", holder, leftMs, errorCode: this.#errorCode };
  }

  override start(): void {
    if (!this.#deps.enabled) return;
    this.#isWanted = true;
    super.start();
  }

  /** Takes the lease now. @returns whether this instance leads. Rejects with the client's errors. */
  async take({ force = false } = {}): Promise<boolean> {
    this.#isWanted = this.#deps.enabled;
    if (this.#isWanted) await this.#take(force);
    return ["leader", "off"].includes(this.status().role);
  }

  /** Finds out anew where it is time to. Never rejects. */
  async refresh(): Promise<void> {
    if (!this.#isWanted || this.#dueInMs() > 0) return;
    await (this.#asking ??= this.#attempt().finally(() => this.#asking = null));
  }

  look(): Promise<void> {
    return this.refresh();
  }

  /** A script has refused this instance: it is to find out anew before it goes on. */
  refused(): void {
    this.#reply = null;
    this.#askedMs = -Infinity;
    this.#tell();
  }

  /** Gives the lease back, as far as Redis lets it. Call it when nothing moves any more. Never rejects. */
  override async stop(): Promise<void> {
    await super.stop();
    await this.#asking;
    if (!this.#isWanted) return;
    this.#isWanted = false;
    this.#reply = null;
    await this.#deps.store.release().catch(() => {});
    this.#deps.onChange(false);
  }

  protected periodMs(): number {
    return Math.max(10, this.#dueInMs());
  }

  #dueInMs(): number {
    const { role, leftMs } = this.status();
    const everyMs = this.#deps.durationMs * RENEWED_AFTER;
    const pauseMs = role === "leader" ? everyMs : Math.min(STANDBY_MS, everyMs, role === "standby" ? leftMs : Infinity);
    return this.#askedMs + pauseMs - this.#deps.clock.monotonicMs();
  }

  async #attempt(): Promise<void> {
    try {
      await this.#take(false);
    } catch (error) {
      this.#errorCode = redisErrorCode(error);
      this.#deps.onRedisError(error);
      this.#tell();
    }
  }

  /** Counts from before the call, so that the server never takes a lease for over before its holder does. */
  async #take(force: boolean): Promise<void> {
    this.#askedMs = this.#deps.clock.monotonicMs();
    const askedMs = this.#askedMs;
    this.#reply = await this.#deps.store.take({ durationMs: this.#deps.durationMs, force });
    this.#untilMs = askedMs + this.#reply.leftMs;
    this.#errorCode = "";
    this.#tell();
  }

  #tell(): void {
    const { role, holder } = this.status(), was = this.#told;
    if (role === was) return;
    this.#told = role;
    const { source, log } = this.#deps;
    if (role === "leader") log.info("leader", `Remediation: leads ${source}`, { source, role });
    else if (role === "standby") {
      log.info("leader", `Remediation: stands by for ${source}; ${holder} leads`, { source, role, holder });
    } else if (was === "leader") {
      log.warning("leader", `Remediation: does not know any more whether it leads ${source}`, { source, role });
    }
    if (role === "leader" || was === "leader") this.#deps.onChange(role === "leader");
    if (role === "leader") this.#listeners.forEach((listener) => listener());
  }
}
