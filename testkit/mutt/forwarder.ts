/** A fake Moog forwarder: alert queue → Moogsoft, one alert at a time, with its dead-letter queue (contract §1.4). */
import { Buffer } from "node:buffer";
import type { Redis } from "ioredis";
import { CircuitBreaker } from "./breaker.ts";
import {
  backoffSeconds,
  judgeAlert,
  judgeAnswer,
  type MoogAnswer,
  moogPayload,
  retriedAlert,
} from "./forwarder_rules.ts";
import { KEYS } from "./keys.ts";
import { RateLimiter } from "./limiter.ts";
import type { MuttObserver } from "./observer.ts";
import type { Pacer, SimClock } from "./sim_clock.ts";
import { POP_TIMEOUT_SECONDS, type RunningWorker, startWorker } from "./worker.ts";

/** `MOOG_WEBHOOK_TIMEOUT` of MUTT. */
const WEBHOOK_TIMEOUT_MS = 10_000;

/** `MOOG_RATE_LIMIT` and `MOOG_RATE_PERIOD`. */
export interface RateLimit {
  readonly limit: number;
  readonly periodSeconds: number;
}

/** Dependencies and settings. */
export interface ForwarderOptions {
  readonly redisUrl: string;
  readonly clock: SimClock;
  readonly observer: MuttObserver;
  /** Rate limit; default: none. */
  readonly rate?: RateLimit | undefined;
  readonly pod: string;
  /**
   * Whether to use the circuit breaker; default true. Without it an alert needs half the commands, for tests at high
   * rates.
   */
  readonly hasBreaker?: boolean;
  /** Posts to Moogsoft, which must answer at once. */
  readonly post: (payload: string) => Promise<MoogAnswer>;
  /** Moogsoft's current latency, in simulated milliseconds. */
  readonly moogLatencyMs: () => number;
}

/** Starts one forwarder; several share limiter and breaker through Redis. */
export function startForwarder(options: ForwarderOptions): RunningWorker {
  const forwarder = new Forwarder(options);
  return startWorker({
    ...options,
    heartbeatKey: `${KEYS.heartbeatMoog}:${options.pod}`,
    turn: (redis, signal) => forwarder.turn(redis, signal),
    // Its metrics thread reads the state every 10 s. Without traffic, only that turns OPEN into HALF_OPEN.
    onBeat: async (redis) => await breakerOf(options, redis)?.state(),
  });
}

function breakerOf({ hasBreaker = true, clock }: ForwarderOptions, redis: Redis): CircuitBreaker | null {
  return hasBreaker ? new CircuitBreaker(redis, clock) : null;
}

class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #pacer: Pacer;
  readonly #processing: string;
  #poppedAt = 0;
  #removing: Promise<unknown> = Promise.resolve();

  constructor(options: ForwarderOptions) {
    this.#options = options;
    this.#pacer = options.clock.pacer();
    this.#processing = `${KEYS.processingMoog}:${options.pod}`;
  }

  async turn(redis: Redis, signal: AbortSignal): Promise<void> {
    // Sent together in this order, to wait once instead of twice.
    const [alert] = await Promise.all([
      redis.brpoplpushBuffer(KEYS.alerts, this.#processing, POP_TIMEOUT_SECONDS),
      this.#removing,
    ]);
    if (alert === null) return;
    this.#poppedAt = this.#options.clock.mark();
    if (!await this.#handle(alert, { redis, signal })) return;
    this.#removing = redis.lrem(this.#processing, 1, alert);
    if (signal.aborted) await this.#removing;
    else this.#removing.catch(() => {}); // the next turn reports it
  }

  /** @returns whether the alert leaves the processing list. */
  async #handle(alert: Buffer, { redis, signal }: { redis: Redis; signal: AbortSignal }): Promise<boolean> {
    const { observer } = this.#options;
    const verdict = judgeAlert(alert);
    if (verdict.action === "wedge") return false;
    if (verdict.action === "discard") {
      observer.discarded?.(alert);
    } else if (verdict.action === "dead_letter") {
      await this.#deadLetter(alert, redis);
    } else if (!await this.#admit(redis)) {
      observer.destroyed?.(alert, Date.now());
    } else {
      observer.admitted?.(alert, Date.now());
      const { message, retries } = verdict;
      switch (await this.#send(moogPayload(message), { breaker: breakerOf(this.#options, redis), signal })) {
        case "refused":
          await this.#deadLetter(alert, redis);
          break;
        case "retry":
          // In its only thread, so it sends nothing else meanwhile.
          await this.#pacer.sleep(backoffSeconds(retries) * 1_000, signal);
          await redis.lpush(KEYS.alerts, Buffer.from(retriedAlert(message, retries)));
      }
    }
    return true;
  }

  async #admit(redis: Redis): Promise<boolean> {
    const { rate, clock } = this.#options;
    return rate === undefined || await new RateLimiter(redis, { ...rate, clock }).admit();
  }

  async #send(
    payload: string,
    { breaker, signal }: { breaker: CircuitBreaker | null; signal: AbortSignal },
  ): Promise<ReturnType<typeof judgeAnswer>> {
    if (await breaker?.state() === "OPEN") return "retry";
    const { clock, moogLatencyMs } = this.#options;
    // Commands and HTTP take real time, which compression multiplies: subtract it from Moogsoft's latency.
    const latencyMs = moogLatencyMs(), isInTime = latencyMs < WEBHOOK_TIMEOUT_MS;
    await this.#pacer.sleep((isInTime ? latencyMs : WEBHOOK_TIMEOUT_MS) - clock.since(this.#poppedAt), signal);
    const result = judgeAnswer(isInTime ? await this.#options.post(payload) : "no_answer");
    if (result === "delivered") await breaker?.succeeded();
    if (result === "retry") await breaker?.failed();
    return result;
  }

  async #deadLetter(alert: Buffer, redis: Redis): Promise<void> {
    this.#options.observer.deadLettered?.(alert, "moog");
    await redis.lpush(KEYS.dlqMoog, alert);
  }
}
