/**
 * Keeps idle connections alive: proxies, and Redis itself by its `timeout`, cut those on which nothing is sent. What is sent is
 * TIME, which the documented ACL allows.
 */
import { Redis } from "ioredis";
import type { Clock } from "../runtime/clock.ts";
import type { RedisClient } from "./cluster.ts";

/** A connection on which nothing was sent for so long is idle, in milliseconds. */
export const IDLE_MS = 5_000;

/** What {@link KeepAlive} needs. */
export interface KeepAliveDeps {
  readonly clock: Clock;
  /** Every connection there is now. */
  readonly connections: () => Iterable<RedisClient>;
  /** Default {@link IDLE_MS}. */
  readonly idleMs?: number;
}

/** Sends something on each connection that is idle. Before that the connection emits `idle`, to give up a transaction it is in. */
export class KeepAlive {
  readonly #deps: KeepAliveDeps;
  readonly #sentAtMs = new WeakMap<Redis, number>();

  constructor(deps: KeepAliveDeps) {
    this.#deps = deps;
  }

  /** Runs until the signal. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, connections, idleMs = IDLE_MS } = this.#deps;
    while (!signal.aborted) {
      await clock.sleep(idleMs / 2, signal);
      for (const one of connections()) {
        for (const redis of one instanceof Redis ? [one] : one.nodes()) this.#look(redis, idleMs);
      }
    }
  }

  #look(redis: Redis, idleMs: number): void {
    if (redis.status !== "ready") return;
    const nowMs = this.#deps.clock.monotonicMs();
    const sentAtMs = this.#sentAtMs.get(redis) ?? this.#watch(redis, nowMs);
    if (nowMs - sentAtMs < idleMs) return;
    redis.emit("idle");
    // A subscriber that speaks RESP2 may send PING only.
    redis.time().catch(() => redis.ping()).catch(() => {});
  }

  /** Notes from now on when something is sent. */
  #watch(redis: Redis, nowMs: number): number {
    const send = redis.sendCommand;
    redis.sendCommand = (...command) => {
      this.#sentAtMs.set(redis, this.#deps.clock.monotonicMs());
      return send.apply(redis, command);
    };
    this.#sentAtMs.set(redis, nowMs);
    return nowMs;
  }
}
