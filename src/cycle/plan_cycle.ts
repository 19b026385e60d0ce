/** Plans a cycle that begins now, from the source's cycle state and the messages that came back. Pure. */
import { type BrakeState, brakeState, type BrakeStep, type Judgement, stepBrake, STRAIN_MS } from "./brake.ts";
import type { CycleLimit } from "./cycle_limit.ts";
import { brakeFields, type CycleState, type Snapshot } from "./cycle_state.ts";
import {
  countReturns,
  type CycleTally,
  formatTallies,
  isProvenToWork,
  isTroubled,
  pendingOf,
  type Returns,
} from "./evidence.ts";
import { addOutages, lengthMs, type Outage } from "./outages.ts";

/** The last cycle's replays, and their outcome so far. */
export interface CycleOutcome {
  /** Messages that it moved to the target. */
  readonly replayed: number;
  /** Of these, messages that came back. */
  readonly returned: number;
  /** Messages that arrived in the DLQ since it began, returned or new. */
  readonly arrived: number;
  /** Live messages, not replayed, that got through the consumer meanwhile; a lower bound. */
  readonly others: number;
}

/** The plan of a cycle. */
export interface NextCycle {
  readonly number: number;
  /** Maximum messages of the cycle: the brake's budget, or one for a breaker's canary. */
  readonly budget: number;
  /** Which limit set the budget. */
  readonly cycleLimit: CycleLimit;
  readonly step: BrakeStep;
  /** Outcome of the cycle before. */
  readonly last: CycleOutcome;
  /** What the returns say about the consumer. */
  readonly judgement: Judgement;
  /** Returns since the last count, of all cycles. */
  readonly newlyReturned: number;
  /** Tallies of the last cycles that replayed messages, including the last one. */
  readonly tallies: readonly CycleTally[];
  /** The cycle in trouble that the judgement is based on; `null`: none. */
  readonly troubled: CycleTally | null;
  /** Whether the consumer drops the stamps, so that arrivals count as returns. */
  readonly stampsDropped: boolean;
  /** The outages that affect the plan, longest first. */
  readonly outages: readonly Outage[];
  /** Fields of the cycle state to write when the cycle begins. */
  readonly fields: Readonly<Record<string, string>>;
}

/** The input of {@link planCycle} beside the source. */
export interface CycleSettings {
  readonly batchSize: number;
  readonly intervalMs: number;
  /** Whether a circuit breaker wants a canary of one message. */
  readonly breakerCanary?: boolean;
  /** Returns and arrivals since the last count. */
  readonly returns: Returns;
  /** Whether the consumer drops the stamps; default: as in the cycle state. */
  readonly stampsDropped?: boolean;
  /** Outages since the last cycle began, longest first. */
  readonly outages?: readonly Outage[];
  /** Minimum length of an outage before a canary group, in milliseconds; 0: never. */
  readonly canaryAfterMs?: number;
  /** Outages that ended before this instant, by their clock, call for no canary group: an operator has released the brake. */
  readonly releasedAtMs?: number;
  /** Live messages that got through the consumer since the last cycle began. They may include replays. */
  readonly liveSuccesses?: number;
  /** Whether the brake limits cycles. Default: true. */
  readonly brakeEnabled?: boolean;
}

/** Maximum lag of a consumer, in milliseconds, and the share of the last lag that is kept after each count. */
const MAX_LAG_MS = 3_600_000, LAG_KEPT = 0.9;

/** Judges the returned messages, and computes the budget of the next cycle. */
export function planCycle(snapshot: Snapshot, settings: CycleSettings): NextCycle {
  const { record, depth, nowMs } = snapshot;
  const { batchSize, intervalMs, returns, breakerCanary = false, canaryAfterMs = 0, releasedAtMs = 0 } = settings;
  const stampsDropped = settings.stampsDropped ?? record.stampsDropped;
  const outages = (settings.outages ?? []).filter((outage) =>
    outage.excusesFailures || (lengthMs(outage) >= STRAIN_MS && !isFollowed(outage, record))
  );
  const judged = judgeReturns(record, { ...settings, outages, stampsDropped, nowMs });
  const longest = outages.find(({ untilMs }) => untilMs > releasedAtMs), longestMs = longest ? lengthMs(longest) : 0;
  const step = stepBrake(record.brake, {
    ...{ judgement: judged.judgement, depth, batchSize, intervalMs },
    afterOutage: canaryAfterMs > 0 && longestMs >= canaryAfterMs,
    strained: longestMs >= STRAIN_MS,
    enabled: settings.brakeEnabled ?? true,
  });
  const isHeld = step.cycleLimit === "returns" && step.budget === 0;
  const cycleLimit = isHeld ? "held" : breakerCanary ? "breaker" : step.cycleLimit;
  return {
    ...{ ...judged, number: record.cycle + 1, step, cycleLimit, outages, stampsDropped },
    ...{ budget: breakerCanary ? Math.min(1, step.budget) : step.budget },
    fields: {
      ...brakeFields(step.brake),
      tallies: formatTallies(judged.tallies),
      scannedDepth: String(returns.depth),
      lagMs: String(judged.lagMs),
      stampsDropped: stampsDropped ? "1" : "0",
      ...(outages.length > 0 ? { outages: addOutages(record.outages, { outages, cycle: record.cycle }) } : {}),
      boundBy: cycleLimit,
    },
  };
}

/** Adds the returns to the cycles in their stamps, and judges these cycles. After late returns, an old cycle is judged again. */
function judgeReturns(
  record: CycleState,
  { returns, outages, stampsDropped, nowMs, liveSuccesses = 0 }:
    & CycleSettings
    & { outages: readonly Outage[]; stampsDropped: boolean; nowMs: number },
) {
  const { arrived, waiting } = returns;
  // A breaker's canary proves nothing about the messages.
  const says = record.cycleLimit === "breaker"
    ? "uncounted"
    : outages.some(({ excusesFailures }) => excusesFailures)
    ? "nothing"
    : "all";
  const closing: CycleTally[] = record.replayed === 0 ? [] : [{
    ...{ cycle: record.cycle, replayed: record.replayed, firsts: record.firsts, movedAtMs: record.movedAtMs, says },
    ...{ returned: 0, firstsReturned: 0, pending: 0, others: 0, othersFailed: 0, isTroubled: false },
  }];
  const found = stampsDropped && arrived > 0
    ? new Map([[record.cycle, { returned: arrived, firsts: arrived }]])
    : returns.found;
  const counted = countReturns([...record.tallies, ...closing], found);
  const lagMs = lagOf(record, found, nowMs);
  let unseen = waiting.depth;
  const waitingOf = ({ cycle }: CycleTally) => waiting.firsts === null ? unseen : waiting.firsts.get(cycle) ?? 0;
  const tallies = counted.tallies.toReversed().map((counted) => {
    let tally = counted;
    if (tally.cycle === record.cycle) {
      // The live successes may include this cycle's own replays.
      const others = Math.max(0, liveSuccesses - (tally.replayed - tally.returned));
      tally = { ...tally, others, othersFailed: others > 0 ? returns.unstamped : 0 };
    }
    const pending = pendingOf(tally, { nowMs, lagMs, waiting: waitingOf(tally) });
    unseen = Math.max(0, unseen - pending);
    return { ...tally, pending };
  }).reverse();
  // A release in the future: the clock was set back.
  const releasedAtMs = record.releasedAtMs > nowMs ? 0 : record.releasedAtMs;
  const troubles = tallies.filter((tally) =>
    tally.says !== "uncounted" && !tally.isTroubled && tally.movedAtMs > releasedAtMs && isTroubled(tally)
  );
  const troubled = troubles.at(-1) ?? null, last = tallies.at(-1);
  const isJudged = closing.length > 0 && says !== "uncounted";
  const judgement: Judgement = troubled
    ? isProvenToWork(troubled) ? "consumer_works" : "came_back"
    : isJudged
    ? "stayed_away"
    : null;
  const outcome: CycleOutcome = {
    replayed: isJudged ? record.replayed : 0,
    returned: isJudged && last ? last.returned : 0,
    others: isJudged && last ? last.others : 0,
    arrived,
  };
  return {
    ...{ judgement, troubled, last: outcome, newlyReturned: counted.returned, lagMs },
    tallies: tallies.map((tally) => troubles.includes(tally) ? { ...tally, isTroubled: true } : tally),
  };
}

/** The consumer's maximum lag. A return from a cycle before the last one took at most the time since that cycle's last replay. */
function lagOf({ tallies, lagMs }: CycleState, found: Returns["found"], nowMs: number): number {
  if (found.size === 0) return lagMs;
  const late = tallies.filter(({ cycle }) => found.has(cycle)).map(({ movedAtMs }) => nowMs - movedAtMs);
  return Math.min(MAX_LAG_MS, Math.max(Math.floor(lagMs * LAG_KEPT), ...late));
}

/** Returns the state of the brake in a cycle state. */
export function stateOf({ brake, cycleLimit }: CycleState): BrakeState {
  return brakeState(brake, cycleLimit === "held");
}

/** Whether a canary group went after the outage. Behind a full queue a cycle goes on when there is room, and its group is judged. */
function isFollowed({ isOver }: Outage, { brake, replayed, cycleLimit }: CycleState): boolean {
  return isOver && brake.suspect && replayed > 0 && cycleLimit !== "breaker";
}
