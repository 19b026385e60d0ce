/** What a cycle that begins now may do, by the source's record: pure. */
import { type BrakeStep, type CycleOutcome, stepBrake } from "../domain/brake.ts";
import { addTroubled, formatTroubled, type TroubledCycles } from "../domain/troubled.ts";
import type { Snapshot } from "../redis/dead_letter_store.ts";
import type { Outage } from "../gates/board.ts";
import { brakeFields } from "../redis/source_record.ts";

/** A cycle before it begins. */
export interface NextCycle {
  readonly number: number;
  /** Most messages that it may take: the brake's budget, or one for a breaker's canary. */
  readonly budget: number;
  readonly step: BrakeStep;
  /** What the cycle before it did, and what has arrived since that one began. */
  readonly last: CycleOutcome;
  readonly troubled: TroubledCycles;
  /** Fields of the record that go with the beginning. */
  readonly fields: Readonly<Record<string, string>>;
}

/** What {@link planCycle} goes by beside the source. */
export interface CycleSettings {
  readonly batchSize: number;
  readonly intervalMs: number;
  /** Whether a breaker wants one message. */
  readonly breakerCanary?: boolean;
  /** The outage on the messages' path since the last cycle began, if there was one. */
  readonly outage?: Outage | null;
  /** An outage of so long is followed by a canary group; 0: none is. */
  readonly canaryAfterMs?: number;
}

/**
 * Judges the last cycle and bounds the next. What arrived is counted from the *start* of the last one: in a long cycle most
 * failures are back before it ends.
 */
export function planCycle(
  { record, depth }: Snapshot,
  { batchSize, intervalMs, breakerCanary = false, outage = null, canaryAfterMs = 0 }: CycleSettings,
): NextCycle {
  const wasCanary = record.boundBy === "breaker";
  const last = {
    // A breaker's canary says nothing of the messages, so the brake does not judge it.
    replayed: wasCanary ? 0 : record.replayed,
    arrived: depth - record.depthAtStart + record.replayed + record.dead,
  };
  const afterOutage = outage !== null && canaryAfterMs > 0 && outage.untilMs - outage.fromMs >= canaryAfterMs;
  const step = stepBrake(record.brake, { last, depth, batchSize, intervalMs, afterOutage });
  // What came back while a gate on its path was closed is excused like a common failure.
  const isExcused = step.troubled || (outage !== null && last.replayed > 0);
  const troubled = isExcused
    ? addTroubled(record.troubled, { cycle: record.cycle, previous: record.lastReplayingCycle })
    : record.troubled;
  const number = record.cycle + 1;
  const previous = record.replayed > 0 ? record.cycle : record.lastReplayingCycle;
  const uncounted = breakerCanary ? addTroubled(record.uncounted, { cycle: number, previous }) : record.uncounted;
  return {
    ...{ number, step, last, troubled, budget: breakerCanary ? Math.min(1, step.budget) : step.budget },
    fields: {
      ...brakeFields(step.brake),
      troubled: formatTroubled(troubled),
      ...(outage
        ? { lastOutage: `${outage.gate} ${outage.reason} ${outage.fromMs}-${outage.untilMs} cycle ${record.cycle}` }
        : {}),
      uncounted: formatTroubled(uncounted),
      lastReplayingCycle: String(previous),
      boundBy: step.boundBy === "returns" && step.budget === 0 ? "held" : breakerCanary ? "breaker" : step.boundBy,
    },
  };
}
