/**
 * The brake limits a source in trouble. If nearly all messages of a cycle come back, they have a common cause, and the source
 * sends only canary groups until one of them does not come back.
 *
 * Pure. Only messages with this service's stamp count as returned (`evidence.ts`). `tests/long/healing_test.ts` runs this
 * code against the cases that the thresholds were chosen from.
 */
import type { CycleLimit } from "./cycle_limit.ts";

/** Size of a canary group as a share of the DLQ; at least one message. */
export const CANARY_SHARE = 0.02;
/** Maximum cycles from one canary group to the next, if the interval is long. */
export const MAX_CANARY_DISTANCE = 3;
/** With a short interval, the distance of canary groups that keep coming back grows to this time, in milliseconds. */
const CANARY_DISTANCE_MS = 30_000;
/** Factor by which the allowance grows with each good cycle. */
export const RAMP_FACTOR = 4;
/** A ramping source falls back if a gate was closed for at least this long without a break, in milliseconds. */
export const STRAIN_MS = 5_000;
/** Why the brake changed last. A closed set: metric labels use exactly these. */
export const BRAKE_REASONS = [
  "none",
  "returns",
  "outage",
  "strain",
  "stayed_away",
  "consumer_works",
  "released",
] as const;
/** One of {@link BRAKE_REASONS}. */
export type BrakeReason = (typeof BRAKE_REASONS)[number];

/** The reasons in words, for logs, summaries and `docs/states.md`. */
export const BRAKE_REASON_TEXTS: Readonly<Record<BrakeReason, string>> = {
  none: "no trouble so far",
  returns: "replayed messages came back",
  outage: "a gate was closed for a long time",
  strain: "a gate closed briefly while the allowance grew",
  stayed_away: "replayed messages did not come back",
  consumer_works: "replayed messages came back, but live messages got through",
  released: "an operator released it",
};

/** The limit on a source's cycles, and its reason. Redis keeps it in the source's cycle state. */
export interface Brake {
  /** Whether the last judged cycle was in trouble. Then only canary groups go until one does not come back. */
  readonly suspect: boolean;
  /** Cycles from one canary group to the next, 1 to {@link longestCanaryDistance}. */
  readonly distance: number;
  /** Cycles to skip before the next canary group. */
  readonly wait: number;
  /** Maximum messages of a cycle while suspect or ramping; `null`: only the batch size limits it. */
  readonly allowance: number | null;
  /** Why the brake changed last. */
  readonly reason: BrakeReason;
}

/** The brake of a source without trouble. */
export const RELEASED: Brake = { suspect: false, distance: 1, wait: 0, allowance: null, reason: "none" };

/**
 * What the returns say about the consumer.
 *
 * - `came_back`: nearly all replays of a cycle came back.
 * - `stayed_away`: they did not.
 * - `consumer_works`: they came back, but live messages got through.
 * - `null`: nothing to judge.
 */
export type Judgement = "came_back" | "stayed_away" | "consumer_works" | null;

/** The states of the brake in metrics, logs and summaries. `docs/states.md` draws the transitions. */
export const BRAKE_STATES = ["healthy", "suspect", "canary", "ramping"] as const;
/** One of {@link BRAKE_STATES}. */
export type BrakeState = (typeof BRAKE_STATES)[number];

/** Returns the state of a brake. `isHeld`: the current cycle takes nothing, because the next canary group is not due. */
export function brakeState({ suspect, allowance }: Brake, isHeld: boolean): BrakeState {
  if (suspect) return isHeld ? "suspect" : "canary";
  return allowance === null ? "healthy" : "ramping";
}

/** Every change of state that the start of a cycle can cause. */
export const BRAKE_TRANSITIONS: readonly {
  readonly from: BrakeState;
  readonly to: BrakeState;
  readonly when: string;
}[] = [
  {
    from: "healthy",
    to: "canary",
    when: "nearly all replayed messages came back, or a gate was closed for a long time",
  },
  { from: "canary", to: "suspect", when: "the group came back, so the next one must wait" },
  { from: "suspect", to: "canary", when: "the wait is over" },
  { from: "canary", to: "ramping", when: "the group did not come back, or live messages got through" },
  { from: "canary", to: "healthy", when: "the group did not come back, and the allowance covers the whole DLQ" },
  { from: "ramping", to: "healthy", when: "the allowance covers the whole DLQ" },
  {
    from: "ramping",
    to: "canary",
    when: "nearly all replayed messages came back, or a gate was closed for a long time",
  },
];

/** The brake for a cycle that begins now, and the cycle's budget. */
export interface BrakeStep {
  readonly brake: Brake;
  /** Maximum messages of this cycle; 0: it takes none ("held"). */
  readonly budget: number;
  /** Which limit set the budget. */
  readonly cycleLimit: Extract<CycleLimit, "depth" | "batch_size" | "returns">;
}

/**
 * Returns the maximum number of cycles from one canary group to the next: 3, or more if they take less than 30 s. So a short
 * interval does not retry the same few messages every other second.
 */
export function longestCanaryDistance(intervalMs: number): number {
  return Math.max(MAX_CANARY_DISTANCE, Math.ceil(CANARY_DISTANCE_MS / intervalMs));
}

/** The input of {@link stepBrake}. */
export interface BrakeInput {
  readonly judgement: Judgement;
  /** Length of the DLQ. */
  readonly depth: number;
  /** Maximum messages of a cycle; 0: the whole DLQ. */
  readonly batchSize: number;
  readonly intervalMs: number;
  /** Whether a gate was closed for a long time. Then a canary group goes first. */
  readonly afterOutage?: boolean;
  /** Whether a gate was closed for {@link STRAIN_MS} or more. Then a growing allowance falls back. */
  readonly strained?: boolean;
  /** Whether the brake limits cycles. Failures are weighed either way. Default: true. */
  readonly enabled?: boolean;
}

/** Computes the brake and the budget of a cycle that begins now. */
export function stepBrake(brake: Brake, input: BrakeInput): BrakeStep {
  const { depth, batchSize, intervalMs, enabled = true } = input;
  const wait = Math.min(brake.wait, longestCanaryDistance(intervalMs) - 1);
  const next = enabled ? nextBrake({ ...brake, wait }, input) : RELEASED;
  if (next.wait > 0) return { brake: { ...next, wait: next.wait - 1 }, budget: 0, cycleLimit: "returns" };
  const full = batchSize === 0 ? depth : Math.min(batchSize, depth);
  const budget = Math.min(full, next.allowance ?? Infinity);
  const released = !next.suspect && next.allowance !== null && next.allowance >= Math.max(batchSize, depth);
  return {
    brake: released ? { ...next, allowance: null } : next,
    budget,
    cycleLimit: budget < full ? "returns" : full < depth ? "batch_size" : "depth",
  };
}

function nextBrake(
  brake: Brake,
  { depth, intervalMs, judgement, afterOutage = false, strained = false }: BrakeInput,
): Brake {
  // While a source waits, late returns of earlier cycles change nothing.
  const judged = brake.wait === 0 ? judgement : null;
  if (judged === "came_back") return tighten(brake, { depth, intervalMs });
  if (afterOutage) {
    const { distance, wait } = brake.suspect ? brake : { distance: 1, wait: 0 };
    return { suspect: true, distance, wait, allowance: canarySize(depth), reason: "outage" };
  }
  // Never twice in a row: a gate that closes briefly in every cycle must not starve the source.
  if (strained && !brake.suspect && brake.allowance !== null && brake.reason !== "strain") {
    const allowance = Math.max(canarySize(depth), Math.ceil(brake.allowance / RAMP_FACTOR));
    return { ...brake, allowance: Math.min(brake.allowance, allowance), reason: "strain" };
  }
  return judged === null ? brake : loosen(brake, judged);
}

function tighten(brake: Brake, { depth, intervalMs }: { depth: number; intervalMs: number }): Brake {
  const distance = brake.suspect ? Math.min(brake.distance * 2, longestCanaryDistance(intervalMs)) : 1;
  return { suspect: true, distance, wait: distance - 1, allowance: canarySize(depth), reason: "returns" };
}

function canarySize(depth: number): number {
  return Math.max(1, Math.ceil(CANARY_SHARE * depth));
}

function loosen(brake: Brake, reason: "stayed_away" | "consumer_works"): Brake {
  if (brake.suspect) {
    const allowance = Math.max(RAMP_FACTOR, (brake.allowance ?? 1) * RAMP_FACTOR);
    return { suspect: false, distance: 1, wait: 0, allowance, reason };
  }
  if (brake.allowance !== null) return { ...brake, allowance: brake.allowance * RAMP_FACTOR, reason };
  return reason === "consumer_works" ? { ...brake, reason } : brake;
}
