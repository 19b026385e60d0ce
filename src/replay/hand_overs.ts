/** Decides which instances hand sources over to which, so that all lead equally many. Pure. */

/** An instance, and how many sources it leads. */
export interface Share {
  /** Token of the instance. */
  readonly token: string;
  readonly leads: number;
  /** Whether sources may be handed over to it. */
  readonly mayGain: boolean;
}

/** A number of sources that one instance hands over to another. */
export interface HandOver {
  readonly from: string;
  readonly to: string;
  readonly sources: number;
}

/**
 * Decides as few hand-overs as possible after which no instance leads two sources more than one that may gain. The same shares, in
 * any order, have the same result. No instance both hands over and is handed over to.
 */
export function decideHandOvers(shares: readonly Share[]): readonly HandOver[] {
  const now = shares.map((share) => ({ ...share })).toSorted((one, other) => one.token < other.token ? -1 : 1);
  const takers = now.filter(({ mayGain }) => mayGain), moves: { from: string; to: string }[] = [];
  while (takers.length > 0) {
    const most = now.reduce((best, one) => one.leads > best.leads ? one : best);
    const least = takers.reduce((best, one) => one.leads < best.leads ? one : best);
    if (most.leads - least.leads < 2) break;
    most.leads--;
    least.leads++;
    moves.push({ from: most.token, to: least.token });
  }
  const groups = Map.groupBy(moves, ({ from, to }) => `${from} ${to}`);
  return [...groups.values()].map((group) => {
    const [{ from, to }] = group as [typeof moves[number]];
    return { from, to, sources: group.length };
  });
}
