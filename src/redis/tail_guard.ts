/**
 * Guards a list between a read and a commit by Redis' own WATCH, so that the commit need not prove that the list is what was
 * read: every byte that a script looks at costs Redis some 2 ns (docs/benchmarks.md).
 *
 * The transaction is entered (MULTI) before the commit is sent, and the commit is only sent once both were answered: a commit
 * that ran outside of one would be guarded by nothing.
 */
import type { Redis } from "ioredis";
import { redisErrorCode } from "./errors.ts";

/** Reads that go unguarded after a guard was broken, doubled each time in a row: others push, so the next would break too. */
const MAX_PAUSE = 64;

/** What one read is guarded by, until the next read, a commit, or the end of the connection. */
export interface Guard {
  /** Whether Redis watches and, once {@link TailGuard.enter} was called, has entered the transaction. Never rejects. */
  holds: Promise<boolean>;
}

/** The guard of one list, on a connection that nothing else uses. One read and its commit at a time. */
export class TailGuard {
  readonly #redis: Redis;
  readonly #key: string;
  /** That of the last read. */
  #guard: Guard | null = null;
  /** Whether MULTI was sent and neither EXEC nor DISCARD. */
  #isEntered = false;
  /** Redis refuses what this needs, by its ACL or because it is a proxy that has no transactions. */
  #isRefused = false;
  #pause = 0;
  #nextPause = 1;

  constructor(redis: Redis, key: string) {
    this.#redis = redis;
    this.#key = key;
    redis.on("close", () => this.#forget());
    redis.on("idle", () => this.leave());
  }

  /** Sends what guards a read that is sent next, and leaves a transaction that was entered for another. `null`: nothing does. */
  watch(): Guard | null {
    this.leave();
    if (this.#isRefused || --this.#pause >= 0) return null;
    this.#pause = 0;
    return this.#guard = { holds: this.#isGranted(this.#redis.watch(this.#key)) };
  }

  /** Call when the read has answered: enters the transaction, unless something else was read or committed since. */
  enter(guard: Guard | null): void {
    if (guard === null || guard !== this.#guard) return;
    this.#isEntered = true;
    const [watched, entered] = [guard.holds, this.#isGranted(this.#redis.call("MULTI"))];
    guard.holds = Promise.all([watched, entered]).then((both) => both.every(Boolean));
  }

  /** Whether a commit may be sent by {@link run} now, at once. */
  async isHeldBy(guard: Guard | null): Promise<boolean> {
    return guard !== null && await guard.holds && guard === this.#guard && this.#isEntered;
  }

  /**
   * Runs what `send` sends as the transaction. @returns its reply; `null` where the list has changed since the read: then
   * nothing has run. Rejects with the client's errors.
   */
  async run(send: () => Promise<unknown>): Promise<unknown> {
    const queued = send();
    const executed = this.#redis.callBuffer("EXEC");
    this.#isEntered = false;
    this.#guard = null;
    const [sent, replies] = await Promise.allSettled([queued, executed]);
    if (replies.status === "rejected") {
      // Where EXEC is forbidden, the transaction is still there.
      if (redisErrorCode(replies.reason) === "NOPERM") {
        this.#isEntered = true;
        this.#refuse(replies.reason);
        return null;
      }
      throw sent.status === "rejected" ? sent.reason : replies.reason;
    }
    const reply = Array.isArray(replies.value) ? replies.value[0] : null;
    // A script that Redis has forgotten has not run; sent by itself it is sent whole.
    if (reply instanceof Error && redisErrorCode(reply) === "NOSCRIPT") return null;
    this.#pauseAfter(reply !== null);
    if (reply instanceof Error) throw this.#answeredWith(reply);
    return reply;
  }

  /** Gives up what guards the last read, so that the connection takes commands again and what follows breaks no guard. */
  leave(): void {
    if (this.#isEntered) {
      this.#redis.discard().catch((error) => {
        // Where entering was refused there is nothing to leave. Where leaving is, only a new connection is out of it.
        if (redisErrorCode(error) !== "NOPERM") return;
        this.#refuse(error);
        this.#redis.disconnect(true);
      });
    } else if (this.#guard) {
      this.#redis.unwatch().catch(() => {});
    }
    this.#isEntered = false;
    this.#guard = null;
  }

  /** The client asks whether to connect anew only of errors that are not inside a transaction's reply. */
  #answeredWith(error: Error): Error {
    if (this.#redis.options.reconnectOnError?.(error)) this.#redis.disconnect(true);
    return error;
  }

  #isGranted(answer: Promise<unknown>): Promise<boolean> {
    return answer.then(() => true, (error) => this.#refuse(error));
  }

  #refuse(error: unknown): false {
    this.#isRefused ||= ["NOPERM", "OTHER"].includes(redisErrorCode(error));
    return false;
  }

  /** The server forgets with the connection. */
  #forget(): void {
    this.#isEntered = false;
    this.#guard = null;
  }

  #pauseAfter(held: boolean): void {
    this.#pause = held ? 0 : this.#nextPause;
    this.#nextPause = held ? 1 : Math.min(MAX_PAUSE, 2 * this.#nextPause);
  }
}
