/** Watches whether MUTT's consumers get alerts of others through: proof that what comes back is to blame itself. */
import type { Redis } from "ioredis";
import { BREAKER_FAILURES_KEY } from "../gates/breaker.ts";
import { stateKey } from "../redis/keys.ts";
import type { Clock } from "../runtime/clock.ts";

/** Longest time between two looks; an interval has at least {@link LOOKS} of them. */
const PERIOD_MS = 5_000, LOOKS = 5;
/** Most looks kept: some five hours. */
const MAX_LOOKS = 4_096;

/** What is looked at. */
export interface AlertFlowDeps {
  readonly redis: Redis;
  readonly clock: Clock;
  readonly intervalMs: () => number;
  /** The forwarder's books: ZSET of what it took, scored by milliseconds of its own clock (contract §1.4). */
  readonly rateKey: string;
  /** The queue before the forwarder. */
  readonly alertQueue: string;
  /** The DLQ whose replays go into that queue. */
  readonly moogDlq: string;
}

/** What one look found. */
interface Look {
  readonly atMs: number;
  /** Score of the newest entry in the forwarder's books; -Infinity: none. */
  readonly newest: number;
  readonly waiting: number;
  /** Cycle of source `moog`, and what it has replayed. */
  readonly cycle: string;
  readonly replayed: number;
  /** Whether the breaker says that the last alert that was tried was taken. */
  readonly isTaken: boolean;
}

/**
 * Counts, look by look, the alerts that the forwarder took beyond those that waited before and those that were replayed into
 * its queue: the alerter has made them since, from events of others, and Moogsoft fails none of them. A lower bound: with a
 * period of a second the forwarder's books forget sooner than this looks. Held by tests/integration/alert_flow_test.ts.
 */
export class AlertFlow {
  readonly #deps: AlertFlowDeps;
  readonly #stop = new AbortController();
  readonly #finished: { readonly fromMs: number; readonly count: number }[] = [];
  #last: Look | null = null;
  #running: Promise<void> | null = null;

  constructor(deps: AlertFlowDeps) {
    this.#deps = deps;
  }

  /** Starts in the background. Safe to call twice. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Resolves when the last look is over. Safe to call twice, and without start. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** Alerts of others that got through since an instant (milliseconds since the epoch), at least. */
  since(sinceMs: number): number {
    return this.#finished.reduce((sum, { fromMs, count }) => fromMs >= sinceMs ? sum + count : sum, 0);
  }

  /** Looks once. A look that fails proves nothing, nor does the one behind it. */
  async look(): Promise<void> {
    const before = this.#last;
    this.#last = null;
    const found = await this.#read(before?.newest ?? null).catch(() => null);
    if (!found) return;
    this.#last = found.look;
    const count = before && before.isTaken && found.look.isTaken ? countOthers(before, found) : 0;
    if (!before || count === 0) return;
    this.#finished.push({ fromMs: before.atMs, count });
    if (this.#finished.length > MAX_LOOKS) this.#finished.shift();
  }

  async #run(): Promise<void> {
    const { clock, intervalMs } = this.#deps;
    while (!this.#stop.signal.aborted) {
      await this.look();
      await clock.sleep(Math.min(PERIOD_MS, intervalMs() / LOOKS), this.#stop.signal);
    }
  }

  async #read(newestBefore: number | null): Promise<{ look: Look; taken: number }> {
    const { redis, clock, rateKey, alertQueue, moogDlq } = this.#deps;
    // The queue first: what is taken between the two reads then counts as having waited.
    const waiting = await redis.llen(alertQueue);
    const [newest, taken, record, failures] = await Promise.all([
      redis.zrevrange(rateKey, 0, 0, "WITHSCORES"),
      newestBefore === null ? 0 : redis.zcount(rateKey, `(${newestBefore}`, "+inf"),
      redis.hmget(stateKey(moogDlq), "cycle", "replayed"),
      redis.get(BREAKER_FAILURES_KEY),
    ]);
    const look = {
      ...{ atMs: clock.nowMs(), newest: newest[1] === undefined ? -Infinity : Number(newest[1]), waiting },
      ...{ cycle: record[0] ?? "", replayed: Number(record[1] ?? 0), isTaken: failures === "0" },
    };
    return { look, taken };
  }
}

/** What was taken less what waited at the look before and what source `moog` has replayed since. */
function countOthers(before: Look, { look, taken }: { look: Look; taken: number }): number {
  const replayed = look.cycle === before.cycle ? look.replayed - before.replayed : look.replayed;
  return Math.max(0, taken - before.waiting - Math.max(0, replayed));
}
