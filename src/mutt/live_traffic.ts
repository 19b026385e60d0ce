/** Watches whether MUTT's consumers get alerts of others through: proof that what comes back has a cause of its own. */
import type { RedisClient } from "../redis/cluster.ts";
import { BREAKER_FAILURES_KEY, BREAKER_STATE_KEY, readBreakerKey } from "./breaker_gate.ts";
import { BOOKS_LEAD_MS } from "./pace.ts";
import { stateKey } from "../redis/keys.ts";
import type { Clock } from "../runtime/clock.ts";
import { PeriodicTask } from "../lifecycle/periodic_task.ts";

/** Longest time between two samples, in milliseconds; an interval has at least {@link SAMPLES} of them. */
const PERIOD_MS = 1_000, SAMPLES = 5;
/** Most intervals kept: something over an hour. */
const MAX_INTERVALS = 4_096;
/** Alerts count that got through at most so long before or after messages came back, in milliseconds. */
const NEAR_MS = 5_000;

/** What {@link LiveTraffic} needs. */
export interface LiveTrafficDeps {
  readonly redis: RedisClient;
  readonly clock: Clock;
  readonly intervalMs: () => number;
  /** Whether the forwarder's breaker is in use: without it nothing tells an alert that was taken from one that failed. */
  readonly breakerEnabled: boolean;
  /** The forwarder's books: ZSET of what it tried, scored by milliseconds of its own clock (contract §1.4). */
  readonly rateKey: string;
  /** The queue before the forwarder. */
  readonly alertQueue: string;
  /** The DLQ whose messages are judged. */
  readonly dlq: string;
  /** Whether what the forwarder refuses comes to that DLQ. */
  readonly isRefusalsDlq: boolean;
  /** DLQs of other sources that are replayed into the queue before the forwarder: their alerts prove nothing here. */
  readonly otherDlqs: readonly string[];
}

/** What was found at one time. */
interface Sample {
  /** Score of the newest entry in the forwarder's books that is not of the future ({@link BOOKS_LEAD_MS}); -Infinity: none. */
  readonly newest: number;
  readonly waiting: number;
  /** What the other sources have ever replayed into the queue before the forwarder. */
  readonly othersReplayed: number;
  /** Length of the DLQ, its source's cycle, and what that has moved. */
  readonly depth: number;
  readonly cycle: string;
  readonly moved: number;
  /** Whether the breaker says that the alert before was taken. */
  readonly isTaken: boolean;
}

/** What came between two samples. */
interface Interval {
  /** When it ended, by the monotonic clock. */
  readonly atMs: number;
  /** Alerts that got through. */
  readonly count: number;
  /** Whether messages came to the DLQ. */
  readonly dlqGrew: boolean;
}

/**
 * Counts, sample by sample, the alerts that the forwarder took beyond those that had waited and those that other sources put there: MUTT
 * has made them since. Replays of this source may be among them; whoever judges a cycle takes off what stayed away. Only what got
 * through about when messages came to the DLQ counts: a consumer that was down for just as long as the replays were with it proves
 * nothing later. Held by tests/integration/live_traffic_test.ts.
 */
export class LiveTraffic extends PeriodicTask {
  readonly #deps: LiveTrafficDeps;
  readonly #intervals: Interval[] = [];
  #last: Sample | null = null;
  /** Alerts that other sources have replayed and the forwarder has not taken yet. Each of them becomes an entry in its books. */
  #unseenReplays = 0;

  constructor(deps: LiveTrafficDeps) {
    super(deps);
    this.#deps = deps;
  }

  /** Alerts that got through while messages came to the DLQ, in the last `ms` milliseconds, at least. */
  liveSuccesses(ms: number): number {
    const fromMs = this.#deps.clock.monotonicMs() - ms;
    const since = this.#intervals.filter(({ atMs }) => atMs >= fromMs);
    const returnsMs = since.filter(({ dlqGrew }) => dlqGrew).map(({ atMs }) => atMs);
    const isNear = ({ atMs }: Interval) => returnsMs.some((returnMs) => Math.abs(returnMs - atMs) <= NEAR_MS);
    return since.reduce((sum, interval) => interval.count > 0 && isNear(interval) ? sum + interval.count : sum, 0);
  }

  /** Takes one sample. One that fails proves nothing, nor does the one behind it; nor is there anything to prove while all rests. */
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

  /** `null` where no message waits and none was moved: nothing can come back. */
  async #read(newestBefore: number | null): Promise<{ sample: Sample; taken: number } | null> {
    const { redis, rateKey, alertQueue, dlq, otherDlqs } = this.#deps;
    const [waiting, depth, own, time] = await Promise.all(
      [redis.llen(alertQueue), redis.llen(dlq), this.#readCounts(dlq), redis.time()] as const,
    );
    if (depth === 0 && own.replayed + own.dead === 0) return null;
    const latest = Number(time[0]) * 1_000 + BOOKS_LEAD_MS;
    // In this order: what comes between two reads is left out, or counts as having waited or as replayed.
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

/** Messages that came to the DLQ between two samples; what a cycle moved last, before another began, is not known: at least. */
function countArrived(before: Sample, sample: Sample): number {
  const moved = sample.cycle === before.cycle ? sample.moved - before.moved : sample.moved;
  return sample.depth - before.depth + moved;
}

function wholeOf(text: string | null | undefined): number {
  return /^\d{1,15}$/.test(text ?? "") ? Number(text) : 0;
}
