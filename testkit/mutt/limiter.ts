/** The rate limit that all forwarders share: MUTT's sliding window in a sorted set (contract §1.4). */
import type { Redis } from "ioredis";
import { KEYS } from "./keys.ts";
import type { SimClock } from "./sim_clock.ts";

/** ARGV: limit, window (ms), now (ms), member. Keeps MUTT's bug: EXPIRE gets milliseconds as seconds. */
const ADMIT_LUA = `
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[3] - ARGV[2])
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1`;

/** The limiter of one forwarder. */
export class RateLimiter {
  readonly #redis: Redis;
  readonly #limit: number;
  readonly #windowMs: number;

  /** Allows `limit` alerts in `periodSeconds` of simulated time. */
  constructor(
    redis: Redis,
    { limit, periodSeconds, clock }: { limit: number; periodSeconds: number; clock: SimClock },
  ) {
    this.#redis = redis;
    this.#limit = limit;
    this.#windowMs = Math.round(clock.realMs(periodSeconds * 1_000));
  }

  /** Whether one more alert may be sent now; if so, counts it. */
  async admit(): Promise<boolean> {
    const nowMs = Date.now();
    const member = `${nowMs}:${Math.random()}`;
    return await this.#redis.eval(ADMIT_LUA, 1, KEYS.rate, this.#limit, this.#windowMs, nowMs, member) === 1;
  }
}
