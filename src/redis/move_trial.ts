/**
 * Tests whether Redis accepts the moves of one source. A connection that answers may belong to a user without EVAL, to a
 * replica, or to a server that rejects writes.
 */
import { createHash } from "node:crypto";
import type { SourcePolicy } from "../message/source_policy.ts";
import type { Clock } from "../runtime/clock.ts";
import { explainRedisError } from "./advice.ts";
import type { RedisClient } from "./cluster.ts";
import { type RedisErrorCode, redisErrorCode } from "./errors.ts";
import { recordsKey, stateKey, trialKey } from "./keys.ts";
import tryMoves from "./scripts/try_moves.lua" with { type: "text" };

/** How long a successful trial is valid while Redis refuses nothing, in milliseconds. */
const GOOD_MS = 30_000;
/**
 * How long a refused trial is valid, doubled for each refusal in a row: each trial on a replica makes the service
 * reconnect.
 */
const REFUSED_MS = 1_000, LONGEST_REFUSED_MS = 10_000;

const DIGEST = createHash("sha1").update(tryMoves).digest("hex");

/** What is wrong, and what to do, if the user may move messages but not journal the moves. */
export const UNJOURNALLED =
  "Redis does not allow XADD: messages move, but the journal does not record it. Allow it as in docs/redis.md#acl";

/** Why Redis refuses the moves of a source. */
export interface Refusal {
  readonly code: RedisErrorCode;
  /** The error of Redis, with advice. */
  readonly text: string;
}

/** Callbacks of a trial. */
export interface TrialReports {
  /** Called with the error of a refused trial. */
  readonly onRedisError?: (error: unknown) => void;
  /** Called if Redis accepts moves but the user may not call XADD, so that they are not journalled. */
  readonly onUnjournalled?: () => void;
}

/** Tries once, with EVAL, EVALSHA and a write of its own. Leaves nothing behind. Never rejects. @returns `null` if Redis accepts moves */
export async function tryMovesOnce(
  redis: RedisClient,
  { dlq, target, dead, push, beside }: Pick<SourcePolicy, "dlq" | "target" | "dead" | "push" | "beside">,
  { onRedisError, onUnjournalled }: TrialReports = {},
): Promise<Refusal | null> {
  const keys = [dlq, target, dead, stateKey(dlq), trialKey(dlq), ...(beside ? [recordsKey(dlq)] : [])];
  const answers = await Promise.allSettled([
    redis.eval(tryMoves, keys.length, ...keys, push),
    redis.evalsha(DIGEST, keys.length, ...keys, push),
    // Redis 6.0 lets a script write though replicas are missing. It does nothing to a key that does not exist.
    redis.ltrim(trialKey(dlq), 0, 0),
  ]);
  const refused = answers.find((answer) => answer.status === "rejected");
  if (!refused) {
    const [first] = answers;
    const xadd: unknown = first.status === "fulfilled" && Array.isArray(first.value) ? first.value[1] : "";
    if (redisErrorCode(new Error(String(xadd))) === "NOPERM") onUnjournalled?.();
    return null;
  }
  onRedisError?.(refused.reason);
  const code = redisErrorCode(refused.reason), text = explainRedisError(refused.reason);
  return { code, text: text.startsWith(code) || code === "OTHER" ? text : `${code}: ${text}` };
}

/** Dependencies of a {@link MoveTrial}. */
export interface MoveTrialDeps {
  /** The connection that takes moves: never to a replica. */
  readonly redis: RedisClient;
  readonly clock: Clock;
  /** Returns how many commands Redis has refused so far, on all connections. A new refusal invalidates the last trial. */
  readonly refusals: () => number;
  readonly onRedisError: (error: unknown) => void;
  /** Called after each trial by a user who may move messages but not journal the moves; default: not told. */
  readonly onUnjournalled?: () => void;
}

/** Repeats the trial when its last result is no longer valid. One trial at a time. */
export class MoveTrial {
  readonly #deps: MoveTrialDeps;
  readonly #policy: SourcePolicy;
  #last: Refusal | null = null;
  #refusedInARow = 0;
  /** When the last trial began, and the number of refusals at that time; `null` if there was no trial. */
  #made: { readonly atMs: number; readonly refusals: number } | null = null;
  #running: Promise<Refusal | null> | null = null;

  constructor(policy: SourcePolicy, deps: MoveTrialDeps) {
    this.#policy = policy;
    this.#deps = deps;
  }

  /** Returns the result of the last trial without a new one; `null` also if there was none. */
  last(): Refusal | null {
    return this.#last;
  }

  /**
   * Returns why moves are refused, from a new trial if one is due, else from the last one. Waits for at most one
   * trial. Never rejects.
   */
  ask(): Promise<Refusal | null> {
    if (!this.#running && this.#isDue()) {
      this.#running = this.#try().finally(() => this.#running = null);
    }
    return this.#running ?? Promise.resolve(this.#last);
  }

  #isDue(): boolean {
    if (this.#made === null) return true;
    const ageMs = this.#deps.clock.monotonicMs() - this.#made.atMs;
    const isDoubtful = this.#last !== null || this.#made.refusals !== this.#deps.refusals();
    const refusedMs = REFUSED_MS * 2 ** Math.max(0, this.#refusedInARow - 1);
    return ageMs >= (isDoubtful ? Math.min(LONGEST_REFUSED_MS, refusedMs) : GOOD_MS);
  }

  async #try(): Promise<Refusal | null> {
    const { redis, clock, refusals, ...reports } = this.#deps;
    this.#made = { atMs: clock.monotonicMs(), refusals: refusals() };
    const refusal = await tryMovesOnce(redis, this.#policy, reports);
    // A lost connection says nothing about moves.
    if (refusal?.code === "CONNECTION") {
      this.#made = null;
      return this.#last ?? refusal;
    }
    this.#refusedInARow = refusal ? this.#refusedInARow + 1 : 0;
    return this.#last = refusal;
  }
}
