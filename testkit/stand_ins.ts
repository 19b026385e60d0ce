/** Live traffic and stand-ins for MUTT's consumers in real time: who was destroyed or shed, and how long who was on its way. */
import { Buffer } from "node:buffer";
import type { Redis } from "ioredis";
import { alertOf, judgeEvent, shedEvent } from "../demo/simulator/alerter_rules.ts";
import { DEFAULT_SETTINGS } from "../src/config/fields.ts";
import { eventText, idOf } from "./engine.ts";
import type { TestRedis } from "./redis.ts";

const { alertQueue, alerterDlq, ingestQueue, moogRateLimitKey } = DEFAULT_SETTINGS;
const PROCESSING = "mutt:processing:alerter:stand-in";
/** How long one blocking pop waits, and so how long stopping may take. */
const POP_TIMEOUT_SECONDS = 0.1;
/** What MUTT's alerter sleeps after each message that it shed (contract §1.3). */
const SHED_SLEEP_MS = 50;
/** Most live messages of one push: what a stall held up does not come as one burst. */
const MOST_AT_ONCE = 50;

/** MUTT's sliding window. ARGV: limit, window in ms, now in ms, member. */
const ADMIT = `
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[3] - ARGV[2])
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[4])
return 1`;

/** A limit that all forwarders share. */
export interface Limit {
  readonly limit: number;
  readonly periodMs: number;
}

/** An alert that was over the limit. */
export interface Destroyed {
  readonly id: string;
  readonly isReplay: boolean;
  /** How much of the limit's window replays had used. Where this is 0 and it is none itself, no replay is to blame. */
  readonly replaysInWindow: number;
}

/** The forwarder: sends one alert at a time, and destroys what is over its limit (contract §1.4). Without one it has none. */
export class StandInForwarder implements AsyncDisposable {
  /** When each alert was let through, by its id, on the monotonic clock. */
  readonly sentAtMs = new Map<string, number>();
  /** When each replay was, in order. */
  readonly replayedAtMs: number[] = [];
  readonly destroyed: Destroyed[] = [];
  /** Alerts that were let through twice. */
  readonly doubled: string[] = [];
  readonly #limit: Limit | null;
  readonly #sendMs: number;
  readonly #worker: AsyncDisposable;

  /** `sendMs`: how long Moogsoft takes for one alert; default 0. */
  constructor(redis: TestRedis, { limit, sendMs = 0 }: { limit: Limit | null; sendMs?: number }) {
    this.#limit = limit;
    this.#sendMs = sendMs;
    const client = redis.client();
    this.#worker = repeat(() => this.#turn(client));
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#worker[Symbol.asyncDispose]();
  }

  async #turn(redis: Redis): Promise<void> {
    const taken = await redis.brpop(alertQueue, POP_TIMEOUT_SECONDS);
    if (!taken) return;
    const [, alert] = taken;
    const id = idOf(alert), isReplay = alert.includes('"_remediation"');
    const isAdmitted = await this.#admit(redis, id);
    const nowMs = performance.now();
    if (!isAdmitted) {
      this.destroyed.push({ id, isReplay, replaysInWindow: this.#replaysSince(nowMs - this.#limit!.periodMs) });
      return;
    }
    if (this.sentAtMs.has(id)) this.doubled.push(id);
    this.sentAtMs.set(id, nowMs);
    if (isReplay) this.replayedAtMs.push(nowMs);
    if (this.#sendMs > 0) await sleep(this.#sendMs);
  }

  async #admit(redis: Redis, id: string): Promise<boolean> {
    if (!this.#limit) return true;
    const { limit, periodMs } = this.#limit;
    const nowMs = Date.now();
    return await redis.eval(ADMIT, 1, moogRateLimitKey, limit, periodMs, nowMs, `${nowMs}:${id}`) === 1;
  }

  #replaysSince(fromMs: number): number {
    return this.replayedAtMs.filter((atMs) => atMs > fromMs).length;
  }
}

/** The alerter: makes an alert of each message, and sheds while more than `shedOver` alerts are queued (contract §1.3). */
export class StandInAlerter implements AsyncDisposable {
  /** Ids of what went to the DLQ because of the alert queue's depth. */
  readonly shed: string[] = [];
  /** Ids of what it could make no alert of. */
  readonly refused: string[] = [];
  readonly #shedOver: number;
  readonly #worker: AsyncDisposable;

  constructor(redis: TestRedis, { shedOver }: { shedOver: number }) {
    this.#shedOver = shedOver;
    const client = redis.client();
    this.#worker = repeat(() => this.#turn(client));
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#worker[Symbol.asyncDispose]();
  }

  async #turn(redis: Redis): Promise<void> {
    const depth = await redis.llen(alertQueue);
    if (depth > this.#shedOver) return await this.#shed(redis, depth);
    const event = await redis.brpoplpushBuffer(ingestQueue, PROCESSING, POP_TIMEOUT_SECONDS);
    if (event === null) return;
    const verdict = judgeEvent(event);
    if (verdict.action === "attempt") await redis.lpush(alertQueue, Buffer.from(alertOf(verdict.message)));
    else this.refused.push(idOf(event));
    await redis.lrem(PROCESSING, 1, event);
  }

  async #shed(redis: Redis, depth: number): Promise<void> {
    const event = await redis.rpopBuffer(ingestQueue);
    if (event !== null) {
      this.shed.push(idOf(event));
      await redis.lpush(alerterDlq, Buffer.from(shedEvent(event, depth)));
    }
    await sleep(SHED_SLEEP_MS);
  }
}

/** Live traffic: a message each `everyMs` on the dot, whatever the machine does in between. */
export class LiveTraffic implements AsyncDisposable {
  /** When each message was pushed, by its id, on the monotonic clock. */
  readonly pushedAtMs = new Map<string, number>();
  readonly #worker: AsyncDisposable;

  constructor(redis: TestRedis, { queue, everyMs }: { queue: string; everyMs: number }) {
    const client = redis.client();
    const startedMs = performance.now();
    this.#worker = repeat(async () => {
      const due = Math.floor((performance.now() - startedMs) / everyMs) - this.pushedAtMs.size;
      if (due > 0) await this.#push(client, { queue, count: Math.min(due, MOST_AT_ONCE) });
      await sleep(Math.min(everyMs, 5));
    });
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#worker[Symbol.asyncDispose]();
  }

  /** How long those pushed within a time were on their way until they were forwarded, in milliseconds, shortest first. */
  delaysMs({ sentAtMs }: StandInForwarder, [fromMs, toMs]: readonly [number, number]): number[] {
    return [...this.pushedAtMs]
      .filter(([, pushedMs]) => pushedMs >= fromMs && pushedMs < toMs)
      .map(([id, pushedMs]) => (sentAtMs.get(id) ?? Infinity) - pushedMs)
      .sort((a, b) => a - b);
  }

  async #push(redis: Redis, { queue, count }: { queue: string; count: number }): Promise<void> {
    const first = this.pushedAtMs.size, nowMs = performance.now();
    const ids = Array.from({ length: count }, (_, i) => `live-${first + i}`);
    for (const id of ids) this.pushedAtMs.set(id, nowMs);
    await redis.lpush(queue, ...ids.map((id) => eventText(id)));
  }
}

/** "p50 1, p95 2, max 9 ms (of 250)", for people. */
export function tellDelays(sortedMs: readonly number[]): string {
  const at = (share: number) => (sortedMs[Math.max(0, Math.ceil(share * sortedMs.length) - 1)] ?? NaN).toFixed(0);
  return `p50 ${at(0.5)}, p95 ${at(0.95)}, max ${at(1)} ms (of ${sortedMs.length})`;
}

/** Takes turn after turn until it is disposed of; that waits for the turn in hand, and is safe to do twice. */
function repeat(turn: () => Promise<void>): AsyncDisposable {
  let isStopped = false;
  const running = (async () => {
    while (!isStopped) await turn();
  })();
  return {
    [Symbol.asyncDispose]() {
      isStopped = true;
      return running;
    },
  };
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
