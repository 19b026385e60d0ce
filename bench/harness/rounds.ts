/** Alternating runs, their medians, and ratios round by round. */
import type { Bench, Figures } from "./family.ts";

/** Somebody to be measured. */
export interface Contender {
  readonly name: string;
  /** One run, from a fresh start. */
  run(): Promise<Figures>;
}

/** Figures of every round, by contender. */
export type Rounds = ReadonlyMap<string, readonly Figures[]>;

/** Runs every contender once a round, each round beginning with another one; in full form after a round that does not count. */
export async function alternate(contenders: readonly Contender[], bench: Bench): Promise<Rounds> {
  const rounds = new Map(contenders.map(({ name }) => [name, [] as Figures[]]));
  const first = bench.scale === "full" ? -1 : 0;
  for (let round = first; round < bench.rounds; round++) {
    for (let i = 0; i < contenders.length; i++) {
      bench.signal.throwIfAborted();
      const { name, run } = contenders[(i + Math.max(0, round)) % contenders.length]!;
      const figures = await run();
      if (round >= 0) rounds.get(name)!.push(figures);
    }
    bench.tell(round < 0 ? "  warmed up" : `  round ${round + 1} of ${bench.rounds}`);
  }
  return rounds;
}

/** The median of every figure. One that is `null` in a round is left out of it. */
export function mediansOf(runs: readonly Figures[]): Figures {
  const headings = Object.keys(runs[0] ?? {});
  return Object.fromEntries(headings.map((heading) => [heading, median(valuesOf(runs, heading))]));
}

/** The median of a figure's ratios to another contender's in the same round, where the machine was in the same mood. */
export function medianRatio(
  rounds: Rounds,
  { of, to, heading }: { of: string; to: string; heading: string },
): number | null {
  const [above, below] = [rounds.get(of) ?? [], rounds.get(to) ?? []];
  const ratios = above.flatMap((figures, i) => {
    const [a, b] = [figures[heading] ?? null, below[i]?.[heading] ?? null];
    return a === null || b === null || b === 0 ? [] : [a / b];
  });
  return median(ratios);
}

/** The middle one, or the mean of the two in the middle; `null` of nothing. */
export function median(values: readonly number[]): number | null {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b), middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function valuesOf(runs: readonly Figures[], heading: string): number[] {
  return runs.flatMap((figures) => figures[heading] ?? []);
}

/** The largest of a figure over all rounds: one stall is not excused by four runs without. */
export function worstOf(runs: readonly Figures[], heading: string): number | null {
  const values = valuesOf(runs, heading);
  return values.length === 0 ? null : Math.max(...values);
}
