/** What a cycle that begins now may do, by the source's record and by what came back: pure. */
import { type BrakeState, brakeState, type BrakeStep, type Judgement, stepBrake, STRAIN_MS } from "./brake.ts";
import type { CycleLimit } from "./cycle_limit.ts";
import { brakeFields, type Snapshot, type SourceRecord } from "./cycle_state.ts";
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

/** What the last cycle did, and what has become of it. */
export interface CycleOutcome {
  /** Messages that it put into the target. */
  readonly replayed: number;
  /** Messages of it that were seen to come back. */
  readonly returned: number;
  /** Messages that have arrived in the DLQ since it began, whether they came back or are new. */
  readonly arrived: number;
  /** Live messages of others that the consumer was seen to get through meanwhile; a lower bound. */
  readonly others: number;
}

/** A cycle before it begins. */
export interface NextCycle {
  readonly number: number;
  /** Most messages that it may take: the brake's budget, or one for a breaker's canary. */
  readonly budget: number;
  /** What set that; it goes into the record. */
  readonly cycleLimit: CycleLimit;
  readonly step: BrakeStep;
  /** What the cycle before it did, and what has become of it. */
  readonly last: CycleOutcome;
  /** What the returns say of the consumer. */
  readonly judgement: Judgement;
  /** Messages seen to have come back since the last look, of whatever cycle. */
  readonly newlyReturned: number;
  /** What became of the last cycles that replayed anything, the last one included. */
  readonly tallies: readonly CycleTally[];
  /** The cycle that the judgement rests on, where it came back. */
  readonly troubled: CycleTally | null;
  /** Whether the consumer drops the stamps, so that arrivals are taken for returns. */
  readonly stampsDropped: boolean;
  /** The outages that count for it, longest first. */
  readonly outages: readonly Outage[];
  /** Fields of the record that go with the beginning. */
  readonly fields: Readonly<Record<string, string>>;
}

/** What {@link planCycle} goes by beside the source. */
export interface CycleSettings {
  readonly batchSize: number;
  readonly intervalMs: number;
  /** Whether a breaker wants one message. */
  readonly breakerCanary?: boolean;
  /** What has come back and what has arrived since the last look. */
  readonly returns: Returns;
  /** Messages in the target: they have not failed yet. */
  readonly waiting?: number;
  /** Whether the consumer is known to drop the stamps; default: as the record says. */
  readonly stampsDropped?: boolean;
  /** The outages since the last cycle began, longest first. */
  readonly outages?: readonly Outage[];
  /** An outage of so long is followed by a canary group; 0: none is. */
  readonly canaryAfterMs?: number;
  /** Live messages that the consumer was seen to get through since the last cycle began, ours perhaps among them. */
  readonly liveSuccesses?: number;
  /** Whether the brake bounds anything. */
  readonly brakeEnabled?: boolean;
}

/** Longest time that a consumer is taken to need, in milliseconds, and how much of it is believed after each look. */
const MAX_LAG_MS = 3_600_000, LAG_KEPT = 0.9;

/** Judges what came back, and bounds the next cycle. */
export function planCycle(snapshot: Snapshot, settings: CycleSettings): NextCycle {
  const { record, depth, nowMs } = snapshot;
  const { batchSize, intervalMs, returns, breakerCanary = false, canaryAfterMs = 0 } = settings;
  const stampsDropped = settings.stampsDropped ?? record.stampsDropped;
  const outages = (settings.outages ?? []).filter((outage) =>
    outage.excusesFailures || (lengthMs(outage) >= STRAIN_MS && !isFollowed(outage, record))
  );
  const judged = judgeReturns(record, { ...settings, outages, stampsDropped, nowMs });
  const longestMs = outages[0] ? lengthMs(outages[0]) : 0;
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

/** Counts what came back to the cycles that it names, and says what that means. Late returns have an old cycle judged again. */
function judgeReturns(
  record: SourceRecord,
  { returns, outages, stampsDropped, nowMs, liveSuccesses = 0, waiting = 0 }:
    & CycleSettings
    & { outages: readonly Outage[]; stampsDropped: boolean; nowMs: number },
) {
  const { arrived } = returns;
  // A breaker's canary says nothing of the messages.
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
  let unseen = waiting;
  const tallies = counted.tallies.toReversed().map((counted) => {
    let tally = counted;
    if (tally.cycle === record.cycle) {
      // Of what was got through, our own is counted already.
      const others = Math.max(0, liveSuccesses - (tally.replayed - tally.returned));
      tally = { ...tally, others, othersFailed: others > 0 ? returns.unstamped : 0 };
    }
    const pending = pendingOf(tally, { nowMs, lagMs, waiting: unseen });
    unseen = Math.max(0, unseen - pending);
    return { ...tally, pending };
  }).reverse();
  const troubles = tallies.filter((tally) => tally.says !== "uncounted" && !tally.isTroubled && isTroubled(tally));
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

/** How long the consumer takes at most: what comes back of an earlier cycle than the last one has taken so long, or less. */
function lagOf({ tallies, lagMs }: SourceRecord, found: Returns["found"], nowMs: number): number {
  if (found.size === 0) return lagMs;
  const late = tallies.filter(({ cycle }) => found.has(cycle)).map(({ movedAtMs }) => nowMs - movedAtMs);
  return Math.min(MAX_LAG_MS, Math.max(Math.floor(lagMs * LAG_KEPT), ...late));
}

/** The state of a source's brake, by its record. */
export function stateOf({ brake, cycleLimit }: SourceRecord): BrakeState {
  return brakeState(brake, cycleLimit === "held");
}

/** Whether a group went since: behind a full queue a cycle goes on once there is room, and that group is the one to judge. */
function isFollowed({ isOver }: Outage, { brake, replayed, cycleLimit }: SourceRecord): boolean {
  return isOver && brake.suspect && replayed > 0 && cycleLimit !== "breaker";
}
