/** Cuts a connection when a reply is longer than the memory that was set aside for it. */
import type { Redis } from "ioredis";

/** Counts what a connection receives. It is for one reply at a time. */
export class ReplyLimit {
  readonly #redis: Redis;
  #stream: Redis["stream"] | null = null;
  #leftBytes = Infinity;
  #isExceeded = false;

  constructor(redis: Redis) {
    this.#redis = redis;
    redis.on("connect", () => this.#listen());
    if (redis.status === "connect" || redis.status === "ready") this.#listen();
  }

  /** Whether the connection was cut since the last {@link set}. */
  get isExceeded(): boolean {
    return this.#isExceeded;
  }

  /** Cuts the connection if more than this is received before {@link lift}. */
  set(bytes: number): void {
    this.#leftBytes = bytes;
    this.#isExceeded = false;
  }

  /** Ends the limit. */
  lift(): void {
    this.#leftBytes = Infinity;
  }

  #listen(): void {
    const { stream } = this.#redis;
    if (stream !== this.#stream) stream.on("data", (data) => this.#received(data.length));
    this.#stream = stream;
  }

  #received(bytes: number): void {
    this.#leftBytes -= bytes;
    if (this.#leftBytes >= 0) return;
    this.#isExceeded = true;
    this.#leftBytes = Infinity;
    this.#redis.disconnect(true);
    this.#redis.stream.destroy();
  }
}
