/**
 * The brake: when about as much comes back as a cycle replayed, the cause is common and the messages are not to blame.
 *
 * Pure. Thresholds are those of the simulation that the project's design rests on; `tests/unit/domain/brake_test.ts`
 * runs its cases against this very code.
 */

/** Share of a cycle's replays that must have arrived in the DLQ again for the cycle to count as troubled. */
export const TROUBLED_SHARE = 0.9;
/** Share of the DLQ that a canary group takes (at least one message). */
export const CANARY_SHARE = 0.02;
/** Most cycles from one canary group to the next, where an interval is long. */
export const MAX_CANARY_DISTANCE = 3;
/** Canary groups keep at least this distance in time once they have been troubled often enough, in milliseconds. */
const CANARY_DISTANCE_MS = 30_000;
/** By how much the allowance grows with each untroubled cycle. */
export const RAMP_FACTOR = 4;
/** Failures in troubled cycles that one message is excused, at most. */
export const MAX_EXCUSES = 5;
/** A gate that was closed for so long without a break is a reason to fall back while ramping, in milliseconds. */
export const STRAIN_MS = 5_000;
/** Fewest messages of others that prove that the consumer works. */
const MIN_PROOF = 3;
/** So many times as many must have succeeded as failed among the others. */
const PROOF_FACTOR = 2;

/** Why a source is in its state: what changed it last. Closed: metric labels use exactly these. */
export const BRAKE_REASONS = ["none", "returns", "outage", "strain", "stayed_away", "consumer_works"] as const;
/** One of {@link BRAKE_REASONS}. */
export type BrakeReason = (typeof BRAKE_REASONS)[number];

/** The reasons in words. */
export const BRAKE_REASON_TEXTS: Readonly<Record<BrakeReason, string>> = {
  none: "it was never in trouble",
  returns: "about as much came back as was replayed",
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

/** What the last cycle did and what has become of it. */
export interface CycleOutcome {
  /** Messages that it put into the target. */
  readonly replayed: number;
  /** Messages that have arrived in the DLQ since it began, whether they came back or are new. */
  readonly arrived: number;
  /** Messages of others that the consumer was seen to finish since then; a lower bound, 0 where nothing is known. */
  readonly proof?: number;
}

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
    when: "about as much came back as was replayed, or a gate was closed for long",
  },
  { from: "canary", to: "suspect", when: "the group came back: the next one waits" },
  { from: "suspect", to: "canary", when: "the wait is over" },
  { from: "canary", to: "ramping", when: "the group stayed away, or the consumer works for others" },
  { from: "canary", to: "healthy", when: "it stayed away, and the allowance covers all there is" },
  { from: "ramping", to: "healthy", when: "the allowance has grown to all there is" },
  {
    from: "ramping",
    to: "canary",
    when: "about as much came back as was replayed, or a gate was closed for long",
  },
];

/** What a cycle that begins now may do. */
export interface BrakeStep {
  readonly brake: Brake;
  /** Whether the last cycle was troubled: failures of its replays are excused. */
  readonly troubled: boolean;
  /** Whether others got through meanwhile, so that it does not make the source suspect. */
  readonly proven: boolean;
  /** Most messages that this cycle may take; 0: it is skipped ("held"). */
  readonly budget: number;
  /** What set the budget. */
  readonly boundBy: "depth" | "batch_size" | "returns";
}

/**
 * Most cycles from one canary group to the next: 3, or as many as take 30 s. Counted in cycles alone, a message's excuses
 * would last for hours at an interval of 300 s and for 15 minutes at one of a second.
 */
export function longestCanaryDistance(intervalMs: number): number {
  return Math.max(MAX_CANARY_DISTANCE, Math.ceil(CANARY_DISTANCE_MS / intervalMs));
}

/** What {@link stepBrake} goes by. */
export interface BrakeInput {
  readonly last: CycleOutcome;
  /** Length of the DLQ. */
  readonly depth: number;
  /** Most messages of a cycle; 0: all that is there. */
  readonly batchSize: number;
  readonly intervalMs: number;
  /** A gate was closed for long: a canary group goes first. */
  readonly afterOutage?: boolean;
  /** A gate was closed for a while ({@link STRAIN_MS}): an allowance that grows falls back. */
  readonly strained?: boolean;
  /** Whether the brake bounds anything; with false failures are excused all the same. */
  readonly enabled?: boolean;
}

/** Decides, when a cycle begins, what it may take. */
export function stepBrake(brake: Brake, input: BrakeInput): BrakeStep {
  const { last, depth, batchSize, intervalMs, enabled = true } = input;
  const wait = Math.min(brake.wait, longestCanaryDistance(intervalMs) - 1);
  const judged = (wait === 0 || !enabled) && last.replayed > 0;
  const cameBack = judged && last.arrived >= TROUBLED_SHARE * last.replayed;
  // Proof widens what goes, and does not make a failure count: whoever is wrong about it, excuses are left.
  const proven = cameBack && isProvenToWork(last);
  const next = enabled ? nextBrake({ ...brake, wait }, { ...input, judged, cameBack, proven }) : RELEASED;
  const common = { troubled: cameBack, proven };
  if (next.wait > 0) {
    return { ...common, brake: { ...next, wait: next.wait - 1 }, budget: 0, boundBy: "returns" };
  }
  const full = batchSize === 0 ? depth : Math.min(batchSize, depth);
  const budget = Math.min(full, next.allowance ?? Infinity);
  const released = !next.suspect && next.allowance !== null && next.allowance >= Math.max(batchSize, depth);
  return {
    ...common,
    brake: released ? { ...next, allowance: null } : next,
    budget,
    boundBy: budget < full ? "returns" : full < depth ? "batch_size" : "depth",
  };
}

/**
 * Whether others got through while what was replayed came back. Of what arrived, as many are new failures as there are more
 * than were replayed: where those are not far fewer than what succeeded, the cause is common after all.
 */
function isProvenToWork({ replayed, arrived, proof = 0 }: CycleOutcome): boolean {
  return proof >= MIN_PROOF && proof > PROOF_FACTOR * Math.max(0, arrived - replayed);
}

function nextBrake(
  brake: Brake,
  { depth, intervalMs, judged, cameBack, proven, afterOutage = false, strained = false }:
    & BrakeInput
    & Record<"judged" | "cameBack" | "proven", boolean>,
): Brake {
  if (cameBack && !proven) return tighten(brake, { depth, intervalMs });
  if (afterOutage) {
    const { distance, wait } = brake.suspect ? brake : { distance: 1, wait: 0 };
    return { suspect: true, distance, wait, allowance: canarySize(depth), reason: "outage" };
  }
  // Never twice in a row: a gate that closes for a moment in every cycle must not starve the source.
  if (strained && !brake.suspect && brake.allowance !== null && brake.reason !== "strain") {
    const allowance = Math.max(canarySize(depth), Math.ceil(brake.allowance / RAMP_FACTOR));
    return { ...brake, allowance: Math.min(brake.allowance, allowance), reason: "strain" };
  }
  return judged ? loosen(brake, proven ? "consumer_works" : "stayed_away") : brake;
}

function tighten(brake: Brake, { depth, intervalMs }: { depth: number; intervalMs: number }): Brake {
  const distance = brake.suspect ? Math.min(brake.distance * 2, longestCanaryDistance(intervalMs)) : 1;
  return { suspect: true, distance, wait: distance - 1, allowance: canarySize(depth), reason: "returns" };
}

function canarySize(depth: number): number {
  return Math.max(1, Math.ceil(CANARY_SHARE * depth));
}

function loosen(brake: Brake, reason: BrakeReason): Brake {
  if (brake.suspect) {
    const allowance = Math.max(RAMP_FACTOR, (brake.allowance ?? 1) * RAMP_FACTOR);
    return { suspect: false, distance: 1, wait: 0, allowance, reason };
  }
  if (brake.allowance !== null) return { ...brake, allowance: brake.allowance * RAMP_FACTOR, reason };
  return reason === "consumer_works" ? { ...brake, reason } : brake;
}
