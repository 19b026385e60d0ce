/**
 * Keeps idle connections alive: proxies, and Redis with its `timeout`, close connections without traffic. The command is TIME,
 * which the documented ACL allows.
 */
import { Redis } from "ioredis";
import { PeriodicTask } from "../lifecycle/periodic_task.ts";
import type { Clock } from "../runtime/clock.ts";
import type { RedisClient } from "./cluster.ts";

/** A connection is idle if nothing was sent on it for this long, in milliseconds. */
export const IDLE_MS = 5_000;

/** Dependencies and timing of {@link KeepAlive}. */
export interface KeepAliveDeps {
  readonly clock: Clock;
  /** Returns all current connections. */
  readonly connections: () => Iterable<RedisClient>;
  /** Default {@link IDLE_MS}. */
  readonly idleMs?: number;
}

/** Sends TIME on each idle connection. The connection emits `idle` first, so that its owner can discard a transaction. */
export class KeepAlive extends PeriodicTask {
  readonly #deps: KeepAliveDeps;
  readonly #sentAtMs = new WeakMap<Redis, number>();

  constructor(deps: KeepAliveDeps) {
    super({ clock: deps.clock, firstRun: "after_interval" });
    this.#deps = deps;
  }

  protected run(): void {
    for (const one of this.#deps.connections()) {
      for (const redis of one instanceof Redis ? [one] : one.nodes()) this.#keepAlive(redis);
    }
  }

  protected intervalMs(): number {
    return this.#idleMs() / 2;
  }

  #idleMs(): number {
    return this.#deps.idleMs ?? IDLE_MS;
  }

  #keepAlive(redis: Redis): void {
    if (redis.status !== "ready") return;
    const nowMs = this.#deps.clock.monotonicMs();
    const sentAtMs = this.#sentAtMs.get(redis) ?? this.#watch(redis, nowMs);
    if (nowMs - sentAtMs < this.#idleMs()) return;
    redis.emit("idle");
    // A subscriber with RESP2 may only send PING.
    redis.time().catch(() => redis.ping()).catch(() => {});
  }

  /** Records when commands are sent, from now on. */
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
