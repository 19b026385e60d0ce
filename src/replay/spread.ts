/**
 * Spreads the sources over the instances. The first instance to start takes every lease, and what a stopped one led may all go to
 * one other. Three details:
 *
 * - *Offer and pull.* An instance that leads too many sources offers some to those that lead the fewest, and goes on leading. Their
 *   standbys ask for the leases anyway, and Redis gives them what is offered. So a source has a leader at every instant, and an
 *   instance that cannot lead takes nothing. A commit of the old leader that comes too late is refused as `not_leader`, like any.
 * - All instances decide by the same facts (`decideHandOvers`), so they need not agree on it. Only instances with the same sources
 *   count: each group of instances with a sources file of its own shares its own sources.
 * - Nothing happens while instances come and go: a rolling update would move sources for each of them.
 */
import { growingPauseMs, PeriodicTask, type RunResult } from "../lifecycle/periodic_task.ts";
import type { Log } from "../observability/log.ts";
import { StoreError } from "../redis/errors.ts";
import type { Clock } from "../runtime/clock.ts";
import { decideHandOvers, type HandOver } from "./hand_overs.ts";
import type { Leadership } from "./leadership.ts";
import type { Replica, Replicas } from "./replicas.ts";

/** How often the shares are looked at, in milliseconds: time for standbys to take what the last look offered. */
const LOOK_MS = 2_000;
/**
 * How long the same instances must have run, and the same leases have been known, in milliseconds: the default lease. By then what
 * a killed instance led has a leader again.
 */
const QUIET_MS = 15_000;
/** An instance that was not seen for this long counts as gone, in milliseconds. It makes itself known every 5 s. */
const SEEN_WITHIN_MS = 12_000;
/** Sources that are offered at once, at most, so that not all new leaders read their first chunk at the same instant. */
const MOST_AT_ONCE = 10;
/** How long an offer stands, in milliseconds. A standby asks for the lease every 500 ms. */
const OFFER_MS = 3_000;
/** An instance that took nothing is offered nothing for this long, in milliseconds: replay may be switched off there. */
const LEFT_OUT_MS = 300_000;
/** Longest pause after a failure, in milliseconds. */
const MAX_RETRY_MS = 30_000;

/** A source that this instance works on. */
export interface SpreadSource {
  readonly name: string;
  readonly leadership: Pick<Leadership, "status" | "offer" | "isOffering">;
  /** Whether a job or a drill runs on it. Until that ends, it keeps its leader: the log of it is in one place, no chunk is read twice. */
  readonly isBusy: boolean;
}

/** The dependencies of {@link Spread}. */
export interface SpreadDeps {
  readonly replicas: Pick<Replicas, "list">;
  /** The sources that run. */
  readonly sources: () => readonly SpreadSource[];
  /** Whether Redis is connected. */
  readonly isReady: () => boolean;
  readonly onRedisError: (error: unknown) => void;
  readonly clock: Clock;
  readonly log: Log;
  /** Default: {@link LOOK_MS} and {@link QUIET_MS}. */
  readonly timing?: { readonly lookMs: number; readonly quietMs: number };
}

/** Sources that were offered to one instance. */
interface Offered {
  readonly to: Replica;
  readonly sources: readonly SpreadSource[];
}

/** Hands sources over to instances that lead fewer, from `start` to `stop`. */
export class Spread extends PeriodicTask {
  readonly #deps: SpreadDeps;
  readonly #lookMs: number;
  readonly #quietMs: number;
  /** Which instances run and which leases are not known, and since when, on the monotonic clock. */
  #picture = "";
  #sinceMs = -Infinity;
  #offered: Offered[] = [];
  /** Instances that took nothing, by token, and until when they are offered nothing, on the monotonic clock. */
  readonly #refusing = new Map<string, number>();
  /** Name of the last source that was offered. The next ones are those behind it, so that another try is another source. */
  #last = "";

  constructor(deps: SpreadDeps) {
    super({ clock: deps.clock });
    this.#deps = deps;
    this.#lookMs = deps.timing?.lookMs ?? LOOK_MS;
    this.#quietMs = deps.timing?.quietMs ?? QUIET_MS;
  }

  protected async run(): Promise<RunResult> {
    if (!this.#deps.isReady()) return "skipped";
    try {
      await this.#look();
      return "done";
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      this.#deps.onRedisError(error);
      return "failed";
    }
  }

  protected intervalMs(): number {
    if (this.failures === 0) return this.#lookMs;
    return growingPauseMs(this.failures, { firstMs: this.#lookMs, maxMs: MAX_RETRY_MS });
  }

  async #look(): Promise<void> {
    const { replicas, clock } = this.#deps;
    const all = await replicas.list({ seenWithinMs: SEEN_WITHIN_MS }), sources = this.#deps.sources();
    const nowMs = clock.monotonicMs();
    const own = all.find(({ isThis }) => isThis), known = all.filter(({ sources }) => sources === own?.sources);
    this.#see(known, sources, nowMs);
    if (this.#offered.some(({ sources }) => sources.some(({ leadership }) => leadership.isOffering()))) return;
    this.#settle(known, nowMs);
    if (!own || nowMs - this.#sinceMs < this.#quietMs) return;
    const led = Map.groupBy(sources, ({ leadership }) => leadership.status().token);
    const shares = known.map(({ token }) => ({
      ...{ token, leads: led.get(token)?.length ?? 0 },
      mayGain: nowMs >= (this.#refusing.get(token) ?? -Infinity),
    }));
    const handOvers = decideHandOvers(shares).filter(({ from }) => from === own.token);
    if (handOvers.length > 0) await this.#offer(handOvers, { known, sources });
  }

  /** Starts the quiet time anew if an instance has come or gone, or a lease has become known or unknown. */
  #see(known: readonly Replica[], sources: readonly SpreadSource[], nowMs: number): void {
    const unknown = sources.filter(({ leadership }) => leadership.status().token === "").map(({ name }) => name);
    const picture = JSON.stringify([known.map(({ token }) => token).toSorted(), unknown]);
    if (picture === this.#picture) return;
    this.#picture = picture;
    this.#sinceMs = nowMs;
  }

  /** Finds out which instances took nothing of what they were offered. */
  #settle(known: readonly Replica[], nowMs: number): void {
    for (const { to, sources } of this.#offered) {
      if (sources.some(({ leadership }) => leadership.status().token === to.token)) this.#refusing.delete(to.token);
      else this.#leaveOut(to, nowMs);
    }
    this.#offered = [];
    for (const token of this.#refusing.keys()) {
      if (known.every((one) => one.token !== token)) this.#refusing.delete(token);
    }
  }

  #leaveOut({ token, name }: Replica, nowMs: number): void {
    if (!this.#refusing.has(token)) {
      const text = `Remediation: ${name} leads fewer sources, but took none of those that this instance offered`;
      this.#deps.log.info("offer_not_taken", text, { to: name });
    }
    this.#refusing.set(token, nowMs + LEFT_OUT_MS);
  }

  async #offer(
    handOvers: readonly HandOver[],
    { known, sources }: { known: readonly Replica[]; sources: readonly SpreadSource[] },
  ): Promise<void> {
    const free = this.#inTurn(sources).slice(0, MOST_AT_ONCE);
    for (const { to: token, sources: count } of handOvers) {
      const to = known.find((one) => one.token === token), chosen = free.splice(0, count);
      if (!to || chosen.length === 0) continue;
      this.#offered.push({ to, sources: chosen });
      this.#last = chosen.at(-1)!.name;
      await Promise.all(chosen.map(({ leadership }) => leadership.offer({ to: token, forMs: OFFER_MS })));
    }
  }

  /** The sources that this instance may hand over now: first those behind the one that was offered last. */
  #inTurn(sources: readonly SpreadSource[]): SpreadSource[] {
    const free = sources.filter(({ leadership, isBusy }) => leadership.status().role === "leader" && !isBusy);
    const at = free.findIndex(({ name }) => name === this.#last) + 1;
    return [...free.slice(at), ...free.slice(0, at)];
  }
}
