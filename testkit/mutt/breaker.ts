/** The forwarders' circuit breaker, with the keys and lazy transitions of the original (contract §7). */
import type { Redis } from "ioredis";
import { KEYS } from "./keys.ts";
import type { SimClock } from "./sim_clock.ts";

/** `CIRCUIT_BREAKER_THRESHOLD` of MUTT. */
export const BREAKER_THRESHOLD = 10;
/** `CIRCUIT_BREAKER_TIMEOUT` of MUTT. */
export const BREAKER_TIMEOUT_SECONDS = 300;

/** Its states. */
export type BreakerState = "CLOSED" | "OPEN" | "HALF_OPEN";

/** The breaker of one forwarder. */
export class CircuitBreaker {
  readonly #redis: Redis;
  readonly #timeoutMs: number;

  constructor(redis: Redis, clock: SimClock) {
    this.#redis = redis;
    this.#timeoutMs = clock.realMs(BREAKER_TIMEOUT_SECONDS * 1_000);
  }

  /** Reads the state. Only this read turns OPEN into HALF_OPEN after the timeout. */
  async state(): Promise<BreakerState> {
    const state = await this.#redis.get(KEYS.breakerState) as BreakerState | null;
    if (state === null) return await this.#become("CLOSED");
    if (state !== "OPEN") return state;
    const openedAtSeconds = Number(await this.#redis.get(KEYS.breakerOpenTime) ?? NaN);
    return Date.now() - openedAtSeconds * 1_000 >= this.#timeoutMs ? await this.#become("HALF_OPEN") : "OPEN";
  }

  /** Records a success. */
  async succeeded(): Promise<void> {
    const state = await this.state();
    await this.#redis.set(KEYS.breakerFailures, 0);
    if (state !== "HALF_OPEN") return;
    await this.#become("CLOSED");
    await this.#redis.del(KEYS.breakerOpenTime);
  }

  /** Records a failure. (A refusal, 4xx, is neither.) */
  async failed(): Promise<void> {
    if (await this.state() === "HALF_OPEN") return await this.#open();
    if (await this.#redis.incr(KEYS.breakerFailures) >= BREAKER_THRESHOLD) await this.#open();
  }

  async #open(): Promise<void> {
    await this.#become("OPEN");
    await this.#redis.set(KEYS.breakerOpenTime, (Date.now() / 1_000).toFixed(2));
  }

  async #become(state: BreakerState): Promise<BreakerState> {
    await this.#redis.set(KEYS.breakerState, state);
    return state;
  }
}
