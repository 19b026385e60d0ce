/** The alerter: ingest queue → database → alert queue, and its dead-letter queue (contract §1.3). */
import { Buffer } from "node:buffer";
import type { Redis } from "ioredis";
import { alertOf, fitsTable, judgeEvent, retriedEvent, SHED_THRESHOLD, shedEvent } from "./alerter_rules.ts";
import { KEYS } from "./keys.ts";
import type { Ledger } from "./ledger.ts";
import type { Pacer, SimClock } from "./sim_clock.ts";
import { POP_TIMEOUT_SECONDS, startWorker, type Worker } from "./worker.ts";

/** What the alerter sleeps after each message that it shed. */
const SHED_SLEEP_MS = 50;

/** What it works with. */
export interface AlerterOptions {
  readonly redisUrl: string;
  readonly clock: SimClock;
  readonly ledger: Ledger;
  /** Whether Postgres takes rows now. */
  readonly isDatabaseUp: () => boolean;
}

/** Starts an alerter. Every message becomes an alert: rules and thresholds of the real one are left out. */
export function startAlerter(options: AlerterOptions): Worker {
  const alerter = new Alerter(options);
  return startWorker({
    ...options,
    heartbeatKey: `${KEYS.heartbeatAlerter}:sim`,
    turn: (redis, signal) => alerter.turn(redis, signal),
  });
}

class Alerter {
  readonly #options: AlerterOptions;
  readonly #pacer: Pacer;
  readonly #processing = `${KEYS.processingAlerter}:sim`;

  constructor(options: AlerterOptions) {
    this.#options = options;
    this.#pacer = options.clock.pacer();
  }

  async turn(redis: Redis, signal: AbortSignal): Promise<void> {
    const depth = await redis.llen(KEYS.alerts);
    if (depth > SHED_THRESHOLD) return await this.#shed(redis, { depth, signal });
    const message = await redis.brpoplpushBuffer(KEYS.ingest, this.#processing, POP_TIMEOUT_SECONDS);
    if (message === null) return;
    if (await this.#handle(message, redis)) await redis.lrem(this.#processing, 1, message);
  }

  async #shed(redis: Redis, { depth, signal }: { depth: number; signal: AbortSignal }): Promise<void> {
    const message = await redis.rpopBuffer(KEYS.ingest);
    if (message !== null) await this.#deadLetter(message, redis, shedEvent(message, depth));
    await this.#pacer.sleep(SHED_SLEEP_MS, signal);
  }

  /** @returns whether the message leaves the processing list. */
  async #handle(message: Buffer, redis: Redis): Promise<boolean> {
    const verdict = judgeEvent(message);
    switch (verdict.action) {
      case "wedge":
        return false;
      case "discard":
        this.#options.ledger.discarded(message);
        return true;
      case "dead_letter":
        await this.#deadLetter(message, redis);
        return true;
      case "attempt": {
        const isStored = this.#options.isDatabaseUp() && fitsTable(verdict.message);
        if (isStored) await redis.lpush(KEYS.alerts, Buffer.from(alertOf(verdict.message)));
        else await redis.lpush(KEYS.ingest, Buffer.from(retriedEvent(verdict.message, verdict.retries)));
        return true;
      }
    }
  }

  async #deadLetter(message: Buffer, redis: Redis, payload: Uint8Array = message): Promise<void> {
    this.#options.ledger.deadLettered(message, "alerter");
    await redis.lpush(KEYS.dlqAlerter, Buffer.from(payload));
  }
}
