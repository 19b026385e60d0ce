/** What sets how much a cycle may take. Pure. */

/**
 * - `depth`: nothing does: it takes all that was in the DLQ when it began.
 * - `batch_size`: REMEDIATION_BATCH_SIZE.
 * - `returns`: the brake's allowance: a canary group, or a step of the ramp.
 * - `held`: the brake: the next canary group is not due, and the cycle takes nothing.
 * - `breaker`: a circuit breaker wants a canary: one message, whose return does not count.
 */
export const CYCLE_LIMITS = ["depth", "batch_size", "returns", "held", "breaker"] as const;
/** One of {@link CYCLE_LIMITS}. */
export type CycleLimit = (typeof CYCLE_LIMITS)[number];

/** Reads the text of the record's field `boundBy`. What is missing or not known reads as `depth`, which bounds nothing. */
export function parseCycleLimit(text: string): CycleLimit {
  return CYCLE_LIMITS.find((limit) => limit === text) ?? "depth";
}
