/**
 * Watches whether MUTT's consumers accept other alerts. If they do, a replayed message that returns has its own cause.
 */
import type { RedisClient } from "../redis/cluster.ts";
import { BREAKER_FAILURES_KEY, BREAKER_STATE_KEY, readBreakerKey } from "./breaker_gate.ts";
import { BOOKS_LEAD_MS } from "./pace.ts";
import { stateKey } from "../redis/keys.ts";
import type { Clock } from "../runtime/clock.ts";
import { PeriodicTask } from "../lifecycle/periodic_task.ts";

/** Longest sample interval in milliseconds. Each cycle interval holds at least {@link SAMPLES} samples. */
const PERIOD_MS = 1_000, SAMPLES = 5;
/** Most intervals kept: a little over an hour. */
const MAX_INTERVALS = 4_096;
/** Alerts count as evidence if they got through within this many milliseconds of messages returning. */
const NEAR_MS = 5_000;

/** Dependencies of {@link LiveTraffic}. */
export interface LiveTrafficDeps {
  readonly redis: RedisClient;
  readonly clock: Clock;
  readonly intervalMs: () => number;
  /** Whether the forwarder uses its circuit breaker. Without it, an accepted alert looks like a failed one. */
  readonly breakerEnabled: boolean;
  /**
   * Key of the forwarder's rate limiter: a ZSET of attempts, scored by milliseconds of its own clock (contract §1.4).
   */
  readonly rateKey: string;
  /** The forwarder's input queue. */
  readonly alertQueue: string;
  /** The DLQ under judgement. */
  readonly dlq: string;
  /** Whether alerts that the forwarder rejects go to this DLQ. */
  readonly isRefusalsDlq: boolean;
  /** DLQs of other sources that replay into the forwarder's input queue. Their alerts prove nothing here. */
  readonly otherDlqs: readonly string[];
}

/** State at one point in time. */
interface Sample {
  /** Newest score in the rate limiter that is not in the future ({@link BOOKS_LEAD_MS}); -Infinity if there is none. */
  readonly newest: number;
  readonly waiting: number;
  /** Total replays of other sources into the forwarder's input queue. */
  readonly othersReplayed: number;
  /** Length of the DLQ, its source's cycle, and the messages moved in that cycle. */
  readonly depth: number;
  readonly cycle: string;
  readonly moved: number;
  /** Whether the breaker shows that the latest alert was accepted. */
  readonly isTaken: boolean;
}

/** Changes between two samples. */
interface Interval {
  /** End of the interval, on the monotonic clock. */
  readonly atMs: number;
  /** Alerts accepted in the interval. */
  readonly count: number;
  /** Whether messages arrived in the DLQ. */
  readonly dlqGrew: boolean;
}

/**
 * Counts alerts that the forwarder accepted, without those that waited before and those that other sources replayed:
 * MUTT produced the rest since. The count may include replays of this source; the judgement of a cycle subtracts the
 * replays that did not return. An alert counts only if messages arrived in the DLQ at about the same time: if a
 * consumer was down only while it held the replays, later alerts prove nothing. Tested in
 * tests/integration/live_traffic_test.ts.
 */
export class LiveTraffic extends PeriodicTask {
  readonly #deps: LiveTrafficDeps;
  readonly #intervals: Interval[] = [];
  #last: Sample | null = null;
  /**
   * Alerts that other sources replayed and the forwarder has not attempted yet. Each will become an entry in its rate
   * limiter.
   */
  #unseenReplays = 0;

  constructor(deps: LiveTrafficDeps) {
    super(deps);
    this.#deps = deps;
  }

  /** Lower bound of the alerts accepted in the last `ms` milliseconds while messages arrived in the DLQ. */
  liveSuccesses(ms: number): number {
    const fromMs = this.#deps.clock.monotonicMs() - ms;
    const since = this.#intervals.filter(({ atMs }) => atMs >= fromMs);
    const returnsMs = since.filter(({ dlqGrew }) => dlqGrew).map(({ atMs }) => atMs);
    const isNear = ({ atMs }: Interval) => returnsMs.some((returnMs) => Math.abs(returnMs - atMs) <= NEAR_MS);
    return since.reduce((sum, interval) => interval.count > 0 && isNear(interval) ? sum + interval.count : sum, 0);
  }

  /**
   * Takes one sample. A failed sample invalidates the intervals on both sides. While nothing waits or moves, there is
   * no sample.
   */
  protected async run(): Promise<void> {
    const before = this.#last;
    this.#last = null;
    const found = await this.#read(before?.newest ?? null).catch(() => null);
    this.#last = found?.sample ?? null;
    if (!before || !found) return;
    this.#intervals.push(this.#compare(before, found));
    if (this.#intervals.length > MAX_INTERVALS) this.#intervals.shift();
  }

  protected intervalMs(): number {
    return Math.min(PERIOD_MS, this.#deps.intervalMs() / SAMPLES);
  }

  /** `null` if no message waits and none was moved: then nothing can return. */
  async #read(newestBefore: number | null): Promise<{ sample: Sample; taken: number } | null> {
    const { redis, rateKey, alertQueue, dlq, otherDlqs } = this.#deps;
    const [waiting, depth, own, time] = await Promise.all(
      [redis.llen(alertQueue), redis.llen(dlq), this.#readCounts(dlq), redis.time()] as const,
    );
    if (depth === 0 && own.replayed + own.dead === 0) return null;
    const latest = Number(time[0]) * 1_000 + BOOKS_LEAD_MS;
    // The order matters: a message that arrives between two reads is left out, or counts as waiting or as replayed.
    const [taken, newest, breaker, failures, ...others] = await Promise.all([
      newestBefore === null ? 0 : redis.zcount(rateKey, `(${newestBefore}`, latest),
      redis.zrevrangebyscore(rateKey, latest, "-inf", "WITHSCORES", "LIMIT", 0, 1),
      readBreakerKey(redis, BREAKER_STATE_KEY),
      readBreakerKey(redis, BREAKER_FAILURES_KEY),
      ...otherDlqs.map((name) => redis.hget(stateKey(name), "replayedTotal")),
    ]);
    const sample = {
      ...{ newest: newest[1] === undefined ? -Infinity : Number(newest[1]), waiting },
      othersReplayed: others.reduce((sum, total) => sum + wholeOf(total), 0),
      ...{ depth, cycle: own.cycle, moved: own.replayed + own.dead },
      isTaken: breaker === "CLOSED" && failures === "0",
    };
    return { sample, taken };
  }

  async #readCounts(dlq: string): Promise<{ cycle: string; replayed: number; dead: number }> {
    const [cycle, replayed, dead] = await this.#deps.redis.hmget(stateKey(dlq), "cycle", "replayed", "dead");
    return { cycle: cycle ?? "", replayed: wholeOf(replayed), dead: wholeOf(dead) };
  }

  #compare(before: Sample, { sample, taken }: { sample: Sample; taken: number }): Interval {
    const { clock, breakerEnabled, isRefusalsDlq } = this.#deps;
    const atMs = clock.monotonicMs(), arrived = countArrived(before, sample);
    this.#unseenReplays += Math.max(0, sample.othersReplayed - before.othersReplayed);
    const made = Math.max(0, taken - before.waiting - this.#unseenReplays);
    this.#unseenReplays = Math.max(0, this.#unseenReplays - taken);
    const isProof = breakerEnabled && before.isTaken && sample.isTaken;
    const refused = isRefusalsDlq ? Math.max(0, arrived) : 0;
    return { atMs, count: isProof ? Math.max(0, made - refused) : 0, dlqGrew: arrived > 0 };
  }
}

/**
 * Lower bound of the messages that arrived in the DLQ between two samples. Moves at the end of the previous cycle are
 * unknown.
 */
function countArrived(before: Sample, sample: Sample): number {
  const moved = sample.cycle === before.cycle ? sample.moved - before.moved : sample.moved;
  return sample.depth - before.depth + moved;
}

function wholeOf(text: string | null | undefined): number {
  return /^\d{1,15}$/.test(text ?? "") ? Number(text) : 0;
}
