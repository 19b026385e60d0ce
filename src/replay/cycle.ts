/** What a cycle that begins now may do, by the source's record: pure. */
import { type BrakeStep, type CycleOutcome, stepBrake } from "../domain/brake.ts";
import { addTroubled, formatTroubled, type TroubledCycles } from "../domain/troubled.ts";
import type { Snapshot } from "../redis/dead_letter_store.ts";
import { brakeFields } from "../redis/source_record.ts";

/** A cycle before it begins. */
export interface NextCycle {
  readonly number: number;
  readonly step: BrakeStep;
  /** What the cycle before it did, and what has arrived since that one began. */
  readonly last: CycleOutcome;
  readonly troubled: TroubledCycles;
  /** Fields of the record that go with the beginning. */
  readonly fields: Readonly<Record<string, string>>;
}

/**
 * Judges the last cycle and bounds the next. What arrived is counted from the *start* of the last one: in a long cycle most
 * failures are back before it ends.
 */
export function planCycle(
  { record, depth }: Snapshot,
  { batchSize, intervalMs }: { batchSize: number; intervalMs: number },
): NextCycle {
  const last = {
    replayed: record.replayed,
    arrived: depth - record.depthAtStart + record.replayed + record.dead,
  };
  const step = stepBrake(record.brake, { last, depth, batchSize, intervalMs });
  const troubled = step.troubled
    ? addTroubled(record.troubled, { cycle: record.cycle, previous: record.lastReplayingCycle })
    : record.troubled;
  return {
    ...{ number: record.cycle + 1, step, last, troubled },
    fields: {
      ...brakeFields(step.brake),
      troubled: formatTroubled(troubled),
      lastReplayingCycle: String(record.replayed > 0 ? record.cycle : record.lastReplayingCycle),
      boundBy: step.boundBy === "returns" && step.budget === 0 ? "held" : step.boundBy,
    },
  };
}
