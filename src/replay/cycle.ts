/** What a cycle that begins now may do, by the source's record: pure. */
import {
  type BrakeState,
  brakeState,
  type BrakeStep,
  type CycleOutcome,
  stepBrake,
  STRAIN_MS,
} from "../domain/brake.ts";
import { addTroubled, formatTroubled, type TroubledCycles } from "../domain/troubled.ts";
import type { Snapshot } from "../redis/dead_letter_store.ts";
import { isOnPath, type Outage } from "../gates/board.ts";
import { brakeFields, type SourceRecord } from "../redis/source_record.ts";

/** A cycle before it begins. */
export interface NextCycle {
  readonly number: number;
  /** Most messages that it may take: the brake's budget, or one for a breaker's canary. */
  readonly budget: number;
  readonly step: BrakeStep;
  /** What the cycle before it did, and what has arrived since that one began. */
  readonly last: CycleOutcome;
  /**
   * Of the last cycle's replays those that came back, where the cause was common: known by what arrived, long before the last of
   * them is read again. Of any other cycle each return is counted when it is read (`Plan.cameBack`).
   */
  readonly cameBack: number;
  readonly troubled: TroubledCycles;
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
  /** The outages since the last cycle began, longest first. */
  readonly outages?: readonly Outage[];
  /** An outage of so long is followed by a canary group; 0: none is. */
  readonly canaryAfterMs?: number;
  /** Messages of others that the consumer was seen to finish since the last cycle began. */
  readonly proof?: number;
  /** Whether the brake bounds anything. */
  readonly brakeEnabled?: boolean;
}

/** Most outages kept in the record. */
const MAX_OUTAGES = 16;

/**
 * Judges the last cycle and bounds the next. What arrived is counted from the *start* of the last one: in a long cycle most
 * failures are back before it ends.
 */
export function planCycle(
  { record, depth }: Snapshot,
  settings: CycleSettings,
): NextCycle {
  const { batchSize, intervalMs, breakerCanary = false, canaryAfterMs = 0, proof = 0 } = settings;
  const wasCanary = record.boundBy === "breaker";
  const last = {
    // A breaker's canary says nothing of the messages, so the brake does not judge it.
    replayed: wasCanary ? 0 : record.replayed,
    arrived: depth - record.depthAtStart + record.replayed + record.dead,
    proof,
  };
  const outages = (settings.outages ?? []).filter((outage) =>
    isOnPath(outage) || (lengthMs(outage) >= STRAIN_MS && !isFollowed(outage, { record, last }))
  );
  const longestMs = outages[0] ? lengthMs(outages[0]) : 0;
  const step = stepBrake(record.brake, {
    ...{ last, depth, batchSize, intervalMs },
    afterOutage: canaryAfterMs > 0 && longestMs >= canaryAfterMs,
    strained: longestMs >= STRAIN_MS,
    enabled: settings.brakeEnabled ?? true,
  });
  // What came back while a gate on its path was closed is excused like a common failure.
  const isExcused = step.troubled || (last.replayed > 0 && outages.some(isOnPath));
  const troubled = isExcused
    ? addTroubled(record.troubled, { cycle: record.cycle, previous: record.lastReplayingCycle })
    : record.troubled;
  const number = record.cycle + 1;
  const previous = record.replayed > 0 ? record.cycle : record.lastReplayingCycle;
  const uncounted = breakerCanary ? addTroubled(record.uncounted, { cycle: number, previous }) : record.uncounted;
  return {
    ...{ number, step, last, troubled, outages },
    cameBack: isExcused ? Math.max(0, Math.min(last.replayed, last.arrived)) : 0,
    ...{ budget: breakerCanary ? Math.min(1, step.budget) : step.budget },
    fields: {
      ...brakeFields(step.brake),
      troubled: formatTroubled(troubled),
      ...(outages.length > 0 ? { outages: addOutages(record.outages, { outages, cycle: record.cycle }) } : {}),
      uncounted: formatTroubled(uncounted),
      lastReplayingCycle: String(previous),
      boundBy: step.boundBy === "returns" && step.budget === 0 ? "held" : breakerCanary ? "breaker" : step.boundBy,
    },
  };
}

/** The state of a source's brake, by its record. */
export function stateOf({ brake, boundBy }: SourceRecord): BrakeState {
  return brakeState(brake, boundBy === "held");
}

/** Whether a group went since: behind a full queue a cycle goes on once there is room, and that group is the one to judge. */
function isFollowed({ isOver }: Outage, { record, last }: { record: SourceRecord; last: CycleOutcome }): boolean {
  return isOver && record.brake.suspect && last.replayed > 0;
}

function lengthMs({ fromMs, untilMs }: Outage): number {
  return untilMs - fromMs;
}

/** Adds outages that a cycle met to the text of the record, `gate reason fromMs-untilMs cycle;…`, newest last, bounded. */
function addOutages(text: string, { outages, cycle }: { outages: readonly Outage[]; cycle: number }): string {
  const added = outages.map(({ gate, reason, fromMs, untilMs }) => `${gate} ${reason} ${fromMs}-${untilMs} ${cycle}`);
  return [...text.split(";").filter((entry) => entry !== ""), ...added].slice(-MAX_OUTAGES).join(";");
}
