/**
 * Guards a list between a read and a commit with WATCH, so that the commit need not compare a digest of the messages: each byte
 * that a script reads costs Redis about 2 ns (bench/figures.md).
 *
 * The guard sends MULTI right after the read. The commit is sent only after Redis has answered WATCH and MULTI with OK: outside
 * of a transaction, the commit would have no guard.
 *
 * The guard tests WATCH once per connection: a proxy may answer OK and run the transaction on another connection to Redis. The
 * test watches a key, changes it over another connection, and expects EXEC to fail. Then it runs a script in a transaction.
 * Until the test has passed, reads have no guard.
 */
import { isDeepStrictEqual } from "node:util";
import type { Command, Redis } from "ioredis";
import { createId } from "../runtime/random.ts";
import type { RedisClient } from "./cluster.ts";
import type { ReadGuard } from "../cycle/chunk.ts";
import { redisErrorCode, StoreError, throwStoreError, toStoreError } from "./errors.ts";
import { proofKey } from "./keys.ts";
import { loadScript, type Script } from "./scripts.ts";
import touchKey from "./scripts/touch_key.lua" with { type: "text" };

/**
 * Most reads without a guard after a broken guard; doubled each time in a row. Frequent pushes would break the next
 * guard too.
 */
const MAX_PAUSE = 64;

/** Rounds of a test, and reads that another connection sends during each round. */
const PROOF_ROUNDS = 3, PROOF_LOAD = 4;

/** Whether WATCH works on the current connection. */
type Proof = "unknown" | "guards" | "does_not";

/** The guard of one read. It ends at the next read, a commit, or the end of the connection. */
interface Guard extends ReadGuard {
  /** Whether Redis has accepted WATCH and, after {@link TailGuard.begin}, MULTI. Never rejects. */
  isValid: Promise<boolean>;
}

/** Guards one list on a connection that nothing else uses. One read and its commit at a time. */
export class TailGuard {
  readonly #redis: Redis;
  readonly #key: string;
  readonly #other: RedisClient;
  readonly #touch: Script;
  readonly #proofKey: string;
  /** Guard of the last read. */
  #guard: Guard | null = null;
  /** Whether MULTI was sent, but no EXEC or DISCARD after it. */
  #isEntered = false;
  /** Redis refuses the commands: the ACL forbids them, or a proxy does not support transactions. */
  #isRefused = false;
  #proof: Proof = "unknown";
  /** Number of the connection that the proof belongs to. */
  #connection = 0;
  #pause = 0;
  #nextPause = 1;

  /** `other`: another connection to the same server. */
  constructor(redis: Redis, { key, other }: { key: string; other: RedisClient }) {
    this.#redis = redis;
    this.#key = key;
    this.#other = other;
    this.#touch = loadScript(other, { name: "touchKey", keys: 1, lua: touchKey });
    this.#proofKey = proofKey(key, createId());
    redis.on("close", () => this.#forget());
    redis.on("idle", () => this.abandon());
  }

  /** Returns whether {@link prove} is not needed on the current connection. */
  isTried(): boolean {
    return this.#isRefused || this.#proof !== "unknown";
  }

  /**
   * Tests whether WATCH works on the current connection. Call it while no other command is sent on it. Rejects if the server is
   * not a master: then all connections reconnect, and the next read would fail for that reason only.
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

  /** Sends WATCH for the next read, and discards the transaction of an earlier one. `null`: the read has no guard. */
  watch(): Guard | null {
    this.abandon();
    if (this.#isRefused || this.#proof !== "guards" || --this.#pause >= 0) return null;
    this.#pause = 0;
    return this.#guard = { isValid: this.#isGranted(this.#redis.watch(this.#key)) };
  }

  /** Sends MULTI. Call it when the read was sent. Does nothing if another read or commit has followed. */
  begin(guard: Guard | null): void {
    if (guard === null || guard !== this.#guard) return;
    this.#isEntered = true;
    const [watched, entered] = [guard.isValid, this.#isGranted(this.#redis.call("MULTI"))];
    guard.isValid = Promise.all([watched, entered]).then((both) => both.every(Boolean));
  }

  /** Returns whether {@link run} may send a commit now. The answer holds until the next await. */
  async isValid(guard: ReadGuard | null): Promise<boolean> {
    const held = this.#guard;
    return held !== null && held === guard && await held.isValid && held === this.#guard && this.#isEntered;
  }

  /**
   * Runs the commands as the transaction. @returns the last one's reply; `null` if the list has changed since the read or Redis
   * did not run them: then nothing has changed. Rejects with a `StoreError`.
   */
  async run(commands: readonly Command[]): Promise<unknown> {
    const queued = Promise.all(commands.map((command) => this.#redis.sendCommand(command)));
    const executed = this.#redis.callBuffer("EXEC");
    this.#isEntered = false;
    this.#guard = null;
    const [sent, replies] = await Promise.allSettled([queued, executed]);
    if (replies.status === "rejected") {
      // If EXEC is forbidden, the transaction is still open.
      if (redisErrorCode(replies.reason) === "NOPERM") {
        this.#isEntered = true;
        this.#refuse(replies.reason);
        return null;
      }
      throwStoreError(sent.status === "rejected" ? sent.reason : replies.reason);
    }
    const answers: unknown = replies.value, isRun = Array.isArray(answers);
    if (isRun && answers.length !== commands.length) throw this.#incomplete(answers.length, commands);
    this.#pauseAfter(isRun);
    const reply: unknown = isRun ? answers.at(-1) : null;
    if (reply instanceof Error) throw this.#answeredWith(reply);
    return reply;
  }

  /** Drops the guard of the last read with DISCARD, so that the connection executes commands again. */
  abandon(): void {
    if (this.#isEntered) {
      this.#redis.discard().catch((error) => {
        // If MULTI was refused there is nothing to discard. If DISCARD is refused, only reconnecting helps.
        if (redisErrorCode(error) !== "NOPERM") return;
        this.#refuse(error);
        this.#redis.disconnect(true);
      });
    }
    this.#isEntered = false;
    this.#guard = null;
  }

  async #tryOut(): Promise<Proof> {
    for (let round = 0; round < PROOF_ROUNDS; round++) if (!await this.#isSeen(round)) return "does_not";
    return await this.#takesScripts() ? "guards" : "does_not";
  }

  /** Returns whether a script runs in a transaction: a proxy may refuse it and let the other commands run without it. */
  async #takesScripts(): Promise<boolean> {
    const redis = this.#redis;
    const calls = [redis.call("MULTI"), redis.call("EVAL", "return 1", "1", this.#proofKey), redis.call("EXEC")];
    const [entered, queued, executed] = await Promise.allSettled(calls);
    if (executed!.status === "fulfilled") return isDeepStrictEqual(executed!.value, [1]);
    const failed = [entered!, queued!].find(({ status }) => status === "rejected") ?? executed!;
    throw (failed as PromiseRejectedResult).reason;
  }

  #incomplete(replies: number, commands: readonly Command[]): StoreError {
    this.#proof = "does_not";
    const names = commands.map(({ name }) => name).join(", ");
    const text = `a transaction of ${names} has returned ${replies} replies: messages may be in two lists now`;
    return new StoreError(text, { code: "OTHER", isCertain: false });
  }

  /**
   * Returns whether EXEC fails after the watched key was changed. A proxy that picks any free connection for each command may
   * pick the right one by chance. So each round sends one more command in between, while other reads keep some connections
   * busy.
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

  /** The client does not call `reconnectOnError` for errors inside a transaction's reply. */
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

  /** WATCH and MULTI end with the connection. */
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
