/** A fake alerter: ingest queue → database → alert queue, with its dead-letter queue (contract §1.3). */
import { Buffer } from "node:buffer";
import type { Redis } from "ioredis";
import { alertOf, fitsTable, judgeEvent, retriedEvent, SHED_THRESHOLD, shedEvent } from "./alerter_rules.ts";
import { KEYS } from "./keys.ts";
import type { MuttObserver } from "./observer.ts";
import type { Pacer, SimClock } from "./sim_clock.ts";
import { POP_TIMEOUT_SECONDS, type RunningWorker, startWorker } from "./worker.ts";

/** Pause after each message that the alerter sheds. */
const SHED_SLEEP_MS = 50;

/** Dependencies and settings. Durations are simulated milliseconds. */
export interface AlerterOptions {
  readonly redisUrl: string;
  readonly clock: SimClock;
  readonly observer: MuttObserver;
  /** Suffix of its keys in Redis; default `sim`. */
  readonly pod?: string;
  /** Whether Postgres accepts rows now; default: always. */
  readonly isDatabaseUp?: () => boolean;
  /** Duration of an INSERT; default 0. */
  readonly insertMs?: number;
  /** Length of the alert queue above which it sheds; default {@link SHED_THRESHOLD}. */
  readonly shedOver?: number;
  /** Whether it queues an alert for each stored event. Default true; false if no forwarder runs. */
  readonly queuesAlerts?: boolean;
}

/** Starts an alerter. Every event becomes an alert, without the real one's rules and thresholds. */
export function startAlerter(options: AlerterOptions): RunningWorker {
  const alerter = new Alerter(options);
  return startWorker({
    ...options,
    heartbeatKey: `${KEYS.heartbeatAlerter}:${alerter.pod}`,
    turn: (redis, signal) => alerter.turn(redis, signal),
  });
}

class Alerter {
  readonly pod: string;
  readonly #options: AlerterOptions;
  readonly #pacer: Pacer;
  readonly #processing: string;

  constructor(options: AlerterOptions) {
    this.pod = options.pod ?? "sim";
    this.#options = options;
    this.#pacer = options.clock.pacer();
    this.#processing = `${KEYS.processingAlerter}:${this.pod}`;
  }

  async turn(redis: Redis, signal: AbortSignal): Promise<void> {
    const { shedOver = SHED_THRESHOLD } = this.#options;
    const depth = await redis.llen(KEYS.alerts);
    if (depth > shedOver) return await this.#shed(redis, { depth, signal });
    const message = await redis.brpoplpushBuffer(KEYS.ingest, this.#processing, POP_TIMEOUT_SECONDS);
    if (message === null) return;
    const next = await this.#handle(message);
    if (next === "stays") return;
    // Sent together in this order, to wait once instead of twice.
    const pushed = next === null ? null : redis.lpush(next.to, Buffer.from(next.payload));
    await Promise.all([pushed, redis.lrem(this.#processing, 1, message)]);
  }

  async #shed(redis: Redis, { depth, signal }: { depth: number; signal: AbortSignal }): Promise<void> {
    const message = await redis.rpopBuffer(KEYS.ingest);
    if (message !== null) {
      this.#options.observer.deadLettered?.(message, "alerter");
      await redis.lpush(KEYS.dlqAlerter, Buffer.from(shedEvent(message, depth)));
    }
    await this.#pacer.sleep(SHED_SLEEP_MS, signal);
  }

  /** @returns the push when the message leaves the processing list; `null`: none; `stays`: it stays in that list. */
  async #handle(message: Buffer): Promise<{ to: string; payload: Uint8Array } | null | "stays"> {
    const { observer, isDatabaseUp, insertMs = 0, queuesAlerts = true } = this.#options;
    const verdict = judgeEvent(message);
    switch (verdict.action) {
      case "wedge":
        return "stays";
      case "discard":
        observer.discarded?.(message);
        return null;
      case "dead_letter":
        observer.deadLettered?.(message, "alerter");
        return { to: KEYS.dlqAlerter, payload: message };
      case "attempt": {
        // Without the signal, because the current message must be finished.
        if (insertMs > 0) await this.#pacer.sleep(insertMs);
        if (isDatabaseUp?.() === false || !fitsTable(verdict.message)) {
          return { to: KEYS.ingest, payload: retriedEvent(verdict.message, verdict.retries) };
        }
        observer.stored?.(message);
        return queuesAlerts ? { to: KEYS.alerts, payload: alertOf(verdict.message) } : null;
      }
    }
  }
}
