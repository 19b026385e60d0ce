/** Live traffic during a replay in real time, and the forwarder's results for both. */
import type { Redis } from "ioredis";
import { eventText, idOf } from "../engine.ts";
import type { TestRedis } from "../redis.ts";
import type { MuttObserver } from "./observer.ts";

/** Maximum live messages of one push, to avoid a burst after a stall. */
const MOST_AT_ONCE = 5;
/** Maximum live messages under way. Traffic beyond what a busy machine's stand-ins can take would only fill the queues. */
const MOST_UNDER_WAY = 50;

/** Live traffic: one message every `everyMs`, or as many as the stand-ins can take on a busy machine. */
export class LiveTraffic implements AsyncDisposable {
  /** Time of each push by id, on the monotonic clock. */
  readonly pushedAtMs = new Map<string, number>();
  readonly #running: Promise<void>;
  #isStopped = false;

  constructor(redis: TestRedis, { queue, everyMs, record }: { queue: string; everyMs: number; record: AlertRecord }) {
    this.#running = this.#run(redis.client(), { queue, everyMs, record });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  /** Latencies from push to forwarding of messages pushed within a span, in milliseconds, shortest first. */
  delaysMs({ sentAtMs }: AlertRecord, [fromMs, toMs]: readonly [number, number]): number[] {
    return [...this.pushedAtMs]
      .filter(([, pushedMs]) => pushedMs >= fromMs && pushedMs < toMs)
      .map(([id, pushedMs]) => (sentAtMs.get(id) ?? Infinity) - pushedMs)
      .sort((a, b) => a - b);
  }

  async #run(
    redis: Redis,
    { queue, everyMs, record }: { queue: string; everyMs: number; record: AlertRecord },
  ): Promise<void> {
    let pushedUntilMs = performance.now();
    while (!this.#isStopped) {
      const nowMs = performance.now();
      pushedUntilMs = Math.max(pushedUntilMs, nowMs - MOST_AT_ONCE * everyMs);
      const due = Math.floor((nowMs - pushedUntilMs) / everyMs);
      const count = Math.min(due, MOST_UNDER_WAY - (this.pushedAtMs.size - record.liveEnded()));
      if (count > 0) await this.#push(redis, { queue, count });
      pushedUntilMs += Math.max(0, count) * everyMs;
      await new Promise((resolve) => setTimeout(resolve, Math.min(everyMs, 5)));
    }
  }

  async #push(redis: Redis, { queue, count }: { queue: string; count: number }): Promise<void> {
    const first = this.pushedAtMs.size, nowMs = performance.now();
    const ids = Array.from({ length: count }, (_, i) => `live-${first + i}`);
    for (const id of ids) this.pushedAtMs.set(id, nowMs);
    await redis.lpush(queue, ...ids.map((id) => eventText(id)));
  }
}

/** An alert over the limit. */
export interface Destroyed {
  readonly id: string;
  readonly isReplay: boolean;
  /** Replays in the limit's window. If this is 0 and the alert is not a replay, no replay caused it. */
  readonly replaysInWindow: number;
}

/** Actions of alerter and forwarder by message id; times are from the monotonic clock. */
export class AlertRecord implements MuttObserver {
  /** Time when each alert passed the limit. */
  readonly sentAtMs = new Map<string, number>();
  /** Time of each replay, in order. */
  readonly replayedAtMs: number[] = [];
  readonly overTheLimit: Destroyed[] = [];
  /** Alerts that passed twice. */
  readonly doubled: string[] = [];
  /** Messages that returned to a dead-letter queue. */
  readonly backInDlq: string[] = [];
  /** Messages that the alerter or the forwarder discarded. */
  readonly refused: string[] = [];
  readonly #windowMs: number;

  /** `windowMs`: window of the forwarder's limit. */
  constructor({ windowMs }: { windowMs: number }) {
    this.#windowMs = windowMs;
  }

  /** Live messages that are not under way any more. */
  liveEnded(): number {
    const ended = this.sentAtMs.size + this.overTheLimit.length + this.backInDlq.length + this.refused.length;
    return ended - this.replayedAtMs.length;
  }

  admitted(alert: Uint8Array): void {
    const id = idOf(alert), nowMs = performance.now();
    if (this.sentAtMs.has(id)) this.doubled.push(id);
    this.sentAtMs.set(id, nowMs);
    if (isReplay(alert)) this.replayedAtMs.push(nowMs);
  }

  destroyed(alert: Uint8Array): void {
    const fromMs = performance.now() - this.#windowMs;
    const replaysInWindow = this.replayedAtMs.filter((atMs) => atMs > fromMs).length;
    this.overTheLimit.push({ id: idOf(alert), isReplay: isReplay(alert), replaysInWindow });
  }

  discarded(message: Uint8Array): void {
    this.refused.push(idOf(message));
  }

  deadLettered(message: Uint8Array): void {
    this.backInDlq.push(idOf(message));
  }
}

function isReplay(alert: Uint8Array): boolean {
  return new TextDecoder().decode(alert).includes('"_remediation"');
}

/** Formats latencies: "p50 1, p95 2, max 9 ms (of 250)". */
export function tellDelays(sortedMs: readonly number[]): string {
  const at = (share: number) => (sortedMs[Math.max(0, Math.ceil(share * sortedMs.length) - 1)] ?? NaN).toFixed(0);
  return `p50 ${at(0.5)}, p95 ${at(0.95)}, max ${at(1)} ms (of ${sortedMs.length})`;
}
