/**
 * Whether messages of one source could be moved, found by trying: a connection that answers may belong to a user without
 * EVAL, to a replica, or to a server that takes no writes.
 */
import { createHash } from "node:crypto";
import type { SourcePolicy } from "../message/source_policy.ts";
import type { Clock } from "../runtime/clock.ts";
import { explainRedisError } from "./advice.ts";
import type { RedisClient } from "./cluster.ts";
import { type RedisErrorCode, redisErrorCode } from "./errors.ts";
import { stateKey, trialKey } from "./keys.ts";
import tryMoves from "./scripts/try_moves.lua" with { type: "text" };

/** How long a trial that went well holds while Redis refuses nothing, in milliseconds. */
const GOOD_MS = 30_000;
/** How long one that was refused holds, doubled each time in a row: a replica is connected to anew by each. */
const REFUSED_MS = 1_000, LONGEST_REFUSED_MS = 10_000;

const DIGEST = createHash("sha1").update(tryMoves).digest("hex");

/** Why nothing of a source could be moved. */
export interface Refusal {
  readonly code: RedisErrorCode;
  /** What Redis said, and what to do about it. */
  readonly text: string;
}

/** Tries once, as both EVAL and EVALSHA. Leaves nothing behind. Never rejects. @returns `null`: messages could be moved */
export async function tryMovesOnce(
  redis: RedisClient,
  { dlq, target, dead }: Pick<SourcePolicy, "dlq" | "target" | "dead">,
  onRedisError: (error: unknown) => void = () => {},
): Promise<Refusal | null> {
  const keys = [dlq, target, dead, stateKey(dlq), trialKey(dlq)];
  const answers = await Promise.allSettled([
    redis.eval(tryMoves, keys.length, ...keys),
    redis.evalsha(DIGEST, keys.length, ...keys),
  ]);
  const refused = answers.find((answer) => answer.status === "rejected");
  if (!refused) return null;
  onRedisError(refused.reason);
  const code = redisErrorCode(refused.reason), text = explainRedisError(refused.reason);
  return { code, text: text.startsWith(code) || code === "OTHER" ? text : `${code}: ${text}` };
}

/** What a {@link MoveTrial} needs. */
export interface MoveTrialDeps {
  /** Where moves are sent: not to a replica. */
  readonly redis: RedisClient;
  readonly clock: Clock;
  /** How many commands of any connection Redis has refused so far: after another one the last trial says nothing. */
  readonly refusals: () => number;
  readonly onRedisError: (error: unknown) => void;
}

/** Tries again and again, as often as is useful. One trial at a time. */
export class MoveTrial {
  readonly #deps: MoveTrialDeps;
  readonly #policy: SourcePolicy;
  #last: Refusal | null = null;
  #refusedInARow = 0;
  /** When the last one began, and how many refusals there were then; `null`: none was made. */
  #made: { readonly atMs: number; readonly refusals: number } | null = null;
  #running: Promise<Refusal | null> | null = null;

  constructor(policy: SourcePolicy, deps: MoveTrialDeps) {
    this.#policy = policy;
    this.#deps = deps;
  }

  /** What the last trial came to, without another. `null` also where there was none. */
  last(): Refusal | null {
    return this.#last;
  }

  /** Why nothing can be moved, by a trial that is due or by the last one. Waits for one call at most; never rejects. */
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
    const { redis, clock, refusals, onRedisError } = this.#deps;
    this.#made = { atMs: clock.monotonicMs(), refusals: refusals() };
    const refusal = await tryMovesOnce(redis, this.#policy, onRedisError);
    // The connection broke under it: that says nothing about moves.
    if (refusal?.code === "CONNECTION") {
      this.#made = null;
      return this.#last ?? refusal;
    }
    this.#refusedInARow = refusal ? this.#refusedInARow + 1 : 0;
    return this.#last = refusal;
  }
}
