/**
 * Guards a list between a read and a commit by Redis' own WATCH, so that the commit need not prove that the list is what was
 * read: every byte that a script looks at costs Redis some 2 ns (bench/figures.md).
 *
 * The transaction is entered (MULTI) before the commit is sent, and the commit is only sent once both were answered: a commit
 * that ran outside of one would be guarded by nothing.
 *
 * That WATCH guards is proven once per connection: a proxy may answer OK and run the transaction on another connection to
 * Redis. The guard watches a key of its own, changes it by another connection, and must see EXEC refused. Until then, and where
 * it is not refused, nothing is guarded.
 */
import type { Redis } from "ioredis";
import { createId } from "../runtime/random.ts";
import type { RedisClient } from "./cluster.ts";
import type { ReadGuard } from "../cycle/chunk.ts";
import { redisErrorCode, type StoreError, throwStoreError, toStoreError } from "./errors.ts";
import { proofKey } from "./keys.ts";
import { loadScript, type Script } from "./scripts.ts";
import touchKey from "./scripts/touch_key.lua" with { type: "text" };

/** Reads that go unguarded after a guard was broken, doubled each time in a row: others push, so the next would break too. */
const MAX_PAUSE = 64;

/** Rounds of a proof, and reads that another connection sends meanwhile in each. */
const PROOF_ROUNDS = 3, PROOF_LOAD = 4;

/** Whether WATCH guards on the connection in hand. */
type Proof = "unknown" | "guards" | "does_not";

/** What one read is guarded by, until the next read, a commit, or the end of the connection. */
interface Guard extends ReadGuard {
  /** Whether Redis watches and, once {@link TailGuard.begin} was called, has entered the transaction. Never rejects. */
  isValid: Promise<boolean>;
}

/** The guard of one list, on a connection that nothing else uses. One read and its commit at a time. */
export class TailGuard {
  readonly #redis: Redis;
  readonly #key: string;
  readonly #other: RedisClient;
  readonly #touch: Script;
  readonly #proofKey: string;
  /** That of the last read. */
  #guard: Guard | null = null;
  /** Whether MULTI was sent and neither EXEC nor DISCARD. */
  #isEntered = false;
  /** Redis refuses what this needs, by its ACL or because it is a proxy that has no transactions. */
  #isRefused = false;
  #proof: Proof = "unknown";
  /** The connection that the proof is for, by number. */
  #connection = 0;
  #pause = 0;
  #nextPause = 1;

  /** `other`: a connection that is not `redis`, to the same server. */
  constructor(redis: Redis, { key, other }: { key: string; other: RedisClient }) {
    this.#redis = redis;
    this.#key = key;
    this.#other = other;
    this.#touch = loadScript(other, { name: "touchKey", keys: 1, lua: touchKey });
    this.#proofKey = proofKey(key, createId());
    redis.on("close", () => this.#forget());
    redis.on("idle", () => this.abandon());
  }

  /** Whether {@link prove} has nothing to find out on the connection in hand. */
  isTried(): boolean {
    return this.#isRefused || this.#proof !== "unknown";
  }

  /**
   * Finds out whether WATCH guards on the connection in hand. Call it while nothing else is sent there. Rejects where the server is
   * no master: then every connection is made anew, and what is read next would only tell of that.
   */
  async prove(): Promise<void> {
    const connection = this.#connection;
    const proof = await this.#tryOut().catch((error): Proof => {
      if (["READONLY", "MASTERDOWN"].includes(redisErrorCode(error))) throwStoreError(error);
      this.#refuse(error);
      return "unknown";
    });
    if (connection === this.#connection) this.#proof = proof;
  }

  /** Sends what guards a read that is sent next, and leaves a transaction that was entered for another. `null`: nothing does. */
  watch(): Guard | null {
    this.abandon();
    if (this.#isRefused || this.#proof !== "guards" || --this.#pause >= 0) return null;
    this.#pause = 0;
    return this.#guard = { isValid: this.#isGranted(this.#redis.watch(this.#key)) };
  }

  /** Call when the read has answered: enters the transaction, unless something else was read or committed since. */
  begin(guard: Guard | null): void {
    if (guard === null || guard !== this.#guard) return;
    this.#isEntered = true;
    const [watched, entered] = [guard.isValid, this.#isGranted(this.#redis.call("MULTI"))];
    guard.isValid = Promise.all([watched, entered]).then((both) => both.every(Boolean));
  }

  /** Whether a commit may be sent by {@link run} now, at once. */
  async isValid(guard: ReadGuard | null): Promise<boolean> {
    const held = this.#guard;
    return held !== null && held === guard && await held.isValid && held === this.#guard && this.#isEntered;
  }

  /**
   * Runs what `send` sends as the transaction. @returns its reply; `null` where the list has changed since the read: then
   * nothing has run. Rejects with a `StoreError`.
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
      throwStoreError(sent.status === "rejected" ? sent.reason : replies.reason);
    }
    // A transaction without replies has run nothing: a proxy has refused the script before it was queued.
    const isEmpty = Array.isArray(replies.value) && replies.value.length === 0;
    if (isEmpty) this.#proof = "does_not";
    const reply = Array.isArray(replies.value) && !isEmpty ? replies.value[0] : null;
    // A script that Redis has forgotten has not run; sent by itself it is sent whole.
    if (reply instanceof Error && redisErrorCode(reply) === "NOSCRIPT") return null;
    this.#pauseAfter(reply !== null);
    if (reply instanceof Error) throw this.#answeredWith(reply);
    return reply;
  }

  /** Gives up what guards the last read, so that the connection takes commands again and what follows breaks no guard. */
  abandon(): void {
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

  async #tryOut(): Promise<Proof> {
    for (let round = 0; round < PROOF_ROUNDS; round++) if (!await this.#isSeen(round)) return "does_not";
    return "guards";
  }

  /**
   * Whether a transaction sees that the key that was watched before it has been changed. A proxy that takes any free connection for
   * each command may take the right one by chance, so each round sends one more in between, while others keep some busy.
   */
  async #isSeen(round: number): Promise<boolean> {
    const key = this.#proofKey, redis = this.#redis;
    await redis.watch(key);
    await this.#touch(key);
    const others = Array.from({ length: PROOF_LOAD }, () => this.#other.get(key));
    const between = Array.from({ length: round }, () => redis.get(key));
    const [entered, queued, executed] = [redis.call("MULTI"), redis.call("GET", key), redis.call("EXEC")];
    const [enter, execute] = await Promise.allSettled([entered, executed, queued, ...others, ...between]);
    if (execute.status === "fulfilled") return execute.value === null;
    if (enter.status === "fulfilled" && redisErrorCode(execute.reason) === "NOPERM") {
      this.#isEntered = true;
      this.abandon();
    }
    throw enter.status === "rejected" ? enter.reason : execute.reason;
  }

  /** The client asks whether to connect anew only of errors that are not inside a transaction's reply. */
  #answeredWith(error: Error): StoreError {
    if (this.#redis.options.reconnectOnError?.(error)) this.#redis.disconnect(true);
    return toStoreError(error);
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
    this.#connection++;
    this.#proof = "unknown";
    this.#isEntered = false;
    this.#guard = null;
  }

  #pauseAfter(held: boolean): void {
    this.#pause = held ? 0 : this.#nextPause;
    this.#nextPause = held ? 1 : Math.min(MAX_PAUSE, 2 * this.#nextPause);
  }
}
