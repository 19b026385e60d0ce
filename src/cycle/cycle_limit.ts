/** The limit that sets a cycle's budget. Pure. */

/**
 * Which limit sets a cycle's budget.
 *
 * - `depth`: no limit. The cycle takes every message that was in the DLQ when it began.
 * - `batch_size`: REMEDIATION_BATCH_SIZE.
 * - `returns`: the brake's allowance, for a canary group or a step of the ramp.
 * - `held`: the brake. The next canary group is not due, so the cycle takes nothing.
 * - `breaker`: a circuit breaker wants a canary. The cycle takes one message, and its return does not count.
 */
export const CYCLE_LIMITS = ["depth", "batch_size", "returns", "held", "breaker"] as const;
/** One of {@link CYCLE_LIMITS}. */
export type CycleLimit = (typeof CYCLE_LIMITS)[number];

/** Parses the field `boundBy` of a cycle state. A missing or unknown text reads as `depth`. */
export function parseCycleLimit(text: string): CycleLimit {
  return CYCLE_LIMITS.find((limit) => limit === text) ?? "depth";
}
