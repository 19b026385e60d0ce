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
}

/** A source that was never in trouble. */
export const RELEASED: Brake = { suspect: false, distance: 1, wait: 0, allowance: null };

/** What the last cycle did and what has become of it. */
export interface CycleOutcome {
  /** Messages that it put into the target. */
  readonly replayed: number;
  /** Messages that have arrived in the DLQ since it began, whether they came back or are new. */
  readonly arrived: number;
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
    when: "about as much came back as was replayed, or a gate on the path was closed for long",
  },
  { from: "canary", to: "suspect", when: "the group came back: the next one waits" },
  { from: "suspect", to: "canary", when: "the wait is over" },
  { from: "canary", to: "ramping", when: "the group stayed away" },
  { from: "canary", to: "healthy", when: "it stayed away, and the allowance covers all there is" },
  { from: "ramping", to: "healthy", when: "the allowance has grown to all there is" },
  {
    from: "ramping",
    to: "canary",
    when: "about as much came back as was replayed, or a gate on the path was closed for long",
  },
];

/** What a cycle that begins now may do. */
export interface BrakeStep {
  readonly brake: Brake;
  /** Whether the last cycle was troubled: failures of its replays are excused. */
  readonly troubled: boolean;
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

/** Decides, when a cycle begins, what it may take. `batchSize` 0 means all that is there; `depth` is the DLQ's length. */
export function stepBrake(
  brake: Brake,
  { last, depth, batchSize, intervalMs, afterOutage = false }: {
    last: CycleOutcome;
    depth: number;
    batchSize: number;
    intervalMs: number;
    /** A gate on the messages' path was closed for long: a canary group goes first. */
    afterOutage?: boolean;
  },
): BrakeStep {
  const wait = Math.min(brake.wait, longestCanaryDistance(intervalMs) - 1);
  const judged = wait === 0 && last.replayed > 0;
  const troubled = judged && last.arrived >= TROUBLED_SHARE * last.replayed;
  const next = troubled
    ? tighten(brake, { depth, intervalMs })
    : afterOutage
    ? { suspect: true, distance: brake.suspect ? brake.distance : 1, wait: 0, allowance: canarySize(depth) }
    : judged
    ? loosen(brake)
    : { ...brake, wait };
  if (next.wait > 0) {
    return { brake: { ...next, wait: next.wait - 1 }, troubled, budget: 0, boundBy: "returns" };
  }
  const full = batchSize === 0 ? depth : Math.min(batchSize, depth);
  const budget = Math.min(full, next.allowance ?? Infinity);
  const released = !next.suspect && next.allowance !== null && next.allowance >= Math.max(batchSize, depth);
  return {
    brake: released ? { ...next, allowance: null } : next,
    troubled,
    budget,
    boundBy: budget < full ? "returns" : full < depth ? "batch_size" : "depth",
  };
}

function tighten(brake: Brake, { depth, intervalMs }: { depth: number; intervalMs: number }): Brake {
  const distance = brake.suspect ? Math.min(brake.distance * 2, longestCanaryDistance(intervalMs)) : 1;
  return {
    suspect: true,
    distance,
    wait: distance - 1,
    allowance: canarySize(depth),
  };
}

function canarySize(depth: number): number {
  return Math.max(1, Math.ceil(CANARY_SHARE * depth));
}

function loosen(brake: Brake): Brake {
  if (brake.suspect) {
    return {
      suspect: false,
      distance: 1,
      wait: 0,
      allowance: Math.max(RAMP_FACTOR, (brake.allowance ?? 1) * RAMP_FACTOR),
    };
  }
  return brake.allowance === null ? brake : { ...brake, allowance: brake.allowance * RAMP_FACTOR };
}
