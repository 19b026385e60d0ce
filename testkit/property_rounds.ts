/** Rounds of a property that are bounded in time, and that go on while too little of what is rare has happened. */
import assert from "node:assert/strict";
import fc from "fast-check";

/** How many rounds. */
export interface Rounds {
  readonly seed: number;
  /** At most. */
  readonly most: number;
  /** Time after which only those are run that are still needed, in milliseconds. */
  readonly limitMs: number;
  /** What has happened so far, for the error. */
  readonly seen: object;
  /** Whether enough has happened to prove something, whatever the seed and however slow the machine. */
  readonly isEnough: () => boolean;
}

/**
 * Runs a property. fast-check's own time limit would leave a round running.
 * @throws AssertionError if a round fails, or if not enough has happened in the most rounds
 */
export async function assertRounds<T>(
  arbitrary: fc.Arbitrary<T>,
  { seed, most, limitMs, seen, isEnough }: Rounds,
  round: (value: T) => Promise<void>,
): Promise<void> {
  const endMs = performance.now() + limitMs;
  const property = fc.asyncProperty(arbitrary, async (value) => {
    if (performance.now() < endMs || !isEnough()) await round(value);
  });
  await fc.assert(property, { numRuns: most, seed, endOnFailure: Deno.env.has("FC_NO_SHRINK") });
  assert.ok(isEnough(), `A run in which hardly anything happened proves nothing: ${Deno.inspect(seen)}`);
}
