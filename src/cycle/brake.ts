/**
 * The brake: when what a cycle replayed came back, the cause is common, and only canary groups go until one stays away.
 *
 * Pure. Only messages that bear our stamp count as returned (`evidence.ts`); `tests/property/healing_test.ts` runs the cases
 * that the thresholds were chosen by against this very code.
 */
import type { CycleLimit } from "./cycle_limit.ts";

/** Share of the DLQ that a canary group takes (at least one message). */
export const CANARY_SHARE = 0.02;
/** Most cycles from one canary group to the next, where an interval is long. */
export const MAX_CANARY_DISTANCE = 3;
/** Canary groups keep at least this distance in time once they have been troubled often enough, in milliseconds. */
const CANARY_DISTANCE_MS = 30_000;
/** By how much the allowance grows with each untroubled cycle. */
export const RAMP_FACTOR = 4;
/** A gate that was closed for so long without a break is a reason to fall back while ramping, in milliseconds. */
export const STRAIN_MS = 5_000;
/** Why a source is in its state: what changed it last. Closed: metric labels use exactly these. */
export const BRAKE_REASONS = ["none", "returns", "outage", "strain", "stayed_away", "consumer_works"] as const;
/** One of {@link BRAKE_REASONS}. */
export type BrakeReason = (typeof BRAKE_REASONS)[number];

/** The reasons in words. */
export const BRAKE_REASON_TEXTS: Readonly<Record<BrakeReason, string>> = {
  none: "it was never in trouble",
  returns: "what was replayed came back",
  outage: "a gate was closed for long",
  strain: "a gate closed for a moment while the allowance grew",
  stayed_away: "what was replayed stayed away",
  consumer_works: "what was replayed came back while the consumer was seen to work for others",
};

/** What one cycle may take, and why; kept in the source's record in Redis between cycles. */
export interface Brake {
  /** Whether the last judged cycle was troubled: only canary groups go until one is not. */
  readonly suspect: boolean;
  /** Cycles from one canary group to the next, 1 to {@link longestCanaryDistance}. */
  readonly distance: number;
  /** Cycles still to be skipped before the next canary group. */
  readonly wait: number;
  /** Most messages of a cycle while suspect or ramping; `null`: no bound but the batch size. */
  readonly allowance: number | null;
  /** What changed it last. */
  readonly reason: BrakeReason;
}

/** A source that was never in trouble. */
export const RELEASED: Brake = { suspect: false, distance: 1, wait: 0, allowance: null, reason: "none" };

/**
 * What the returns say of the consumer: `came_back`: of a cycle's replays nearly all; `stayed_away`: they did not;
 * `consumer_works`: they came back while it was seen to work for others; `null`: nothing was replayed.
 */
export type Judgement = "came_back" | "stayed_away" | "consumer_works" | null;

/** The states of the brake, as people are told of them; `docs/states.md` draws what leads from one to another. */
export const BRAKE_STATES = ["healthy", "suspect", "canary", "ramping"] as const;
/** One of {@link BRAKE_STATES}. */
export type BrakeState = (typeof BRAKE_STATES)[number];

/** The state of a brake. `isHeld`: the cycle in hand was skipped, because the next canary group waits. */
export function brakeState({ suspect, allowance }: Brake, isHeld: boolean): BrakeState {
  if (suspect) return isHeld ? "suspect" : "canary";
  return allowance === null ? "healthy" : "ramping";
}

/** What leads from one state to another when a cycle begins; every other step stays where it is. */
export const BRAKE_TRANSITIONS: readonly {
  readonly from: BrakeState;
  readonly to: BrakeState;
  readonly when: string;
}[] = [
  {
    from: "healthy",
    to: "canary",
    when: "nearly all that was replayed came back, or a gate was closed for long",
  },
  { from: "canary", to: "suspect", when: "the group came back: the next one waits" },
  { from: "suspect", to: "canary", when: "the wait is over" },
  { from: "canary", to: "ramping", when: "the group stayed away, or the consumer works for others" },
  { from: "canary", to: "healthy", when: "it stayed away, and the allowance covers all there is" },
  { from: "ramping", to: "healthy", when: "the allowance has grown to all there is" },
  {
    from: "ramping",
    to: "canary",
    when: "nearly all that was replayed came back, or a gate was closed for long",
  },
];

/** What a cycle that begins now may do. */
export interface BrakeStep {
  readonly brake: Brake;
  /** Most messages that this cycle may take; 0: it is skipped ("held"). */
  readonly budget: number;
  /** What set the budget. */
  readonly cycleLimit: Extract<CycleLimit, "depth" | "batch_size" | "returns">;
}

/**
 * Most cycles from one canary group to the next: 3, or as many as take 30 s, so that a short interval does not try the same few
 * messages every other second.
 */
export function longestCanaryDistance(intervalMs: number): number {
  return Math.max(MAX_CANARY_DISTANCE, Math.ceil(CANARY_DISTANCE_MS / intervalMs));
}

/** What {@link stepBrake} goes by. */
export interface BrakeInput {
  readonly judgement: Judgement;
  /** Length of the DLQ. */
  readonly depth: number;
  /** Most messages of a cycle; 0: all that is there. */
  readonly batchSize: number;
  readonly intervalMs: number;
  /** A gate was closed for long: a canary group goes first. */
  readonly afterOutage?: boolean;
  /** A gate was closed for a while ({@link STRAIN_MS}): an allowance that grows falls back. */
  readonly strained?: boolean;
  /** Whether the brake bounds anything; with false failures are weighed all the same. */
  readonly enabled?: boolean;
}

/** Decides, when a cycle begins, what it may take. */
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
  // While a source waits, what comes back late of earlier cycles is no news.
  const judged = brake.wait === 0 ? judgement : null;
  if (judged === "came_back") return tighten(brake, { depth, intervalMs });
  if (afterOutage) {
    const { distance, wait } = brake.suspect ? brake : { distance: 1, wait: 0 };
    return { suspect: true, distance, wait, allowance: canarySize(depth), reason: "outage" };
  }
  // Never twice in a row: a gate that closes for a moment in every cycle must not starve the source.
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
