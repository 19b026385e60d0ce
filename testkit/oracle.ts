/**
 * Checks that every input message exists exactly once, unchanged, and in an allowed place. Pure.
 *
 * It compares messages by a key that survives processing: `coreOf` (model.ts) if every byte counts, an id if consumers
 * build new messages. With `coreOf` a changed message counts as lost, and its changed form as a stranger.
 */

/** An input message. */
export interface Entered {
  readonly key: string;
  /** Allowed final places; absent: any. */
  readonly ends?: readonly string[] | undefined;
}

/** A found copy of a message. */
export interface Found {
  readonly key: string;
  readonly place: string;
  /** Whether it is still in transit and may be anywhere. Default: false. */
  readonly isOnItsWay?: boolean;
}

/** Problems; four empty lists if there are none. */
export interface Differences<E extends Entered = Entered, F extends Found = Found> {
  /** Input messages that are nowhere. */
  readonly lost: readonly E[];
  /** Extra copies. */
  readonly doubled: readonly F[];
  /** Messages that were never put in. */
  readonly strangers: readonly F[];
  /** Messages in a wrong place, such as a healthy one in the dead list. */
  readonly misplaced: readonly { readonly entered: E; readonly found: F }[];
}

/** Compares. Matches messages with equal keys to inputs that allow their place, as far as possible. */
export function findDifferences<E extends Entered, F extends Found>(
  entered: Iterable<E>,
  found: Iterable<F>,
): Differences<E, F> {
  const open = Map.groupBy(entered, ({ key }) => key), known = new Set(open.keys());
  const take = (key: string, suits: (one: E) => boolean): E | undefined => {
    const all = open.get(key) ?? [], at = all.findIndex(suits);
    return at < 0 ? undefined : all.splice(at, 1)[0];
  };
  const belongs = ({ key, place }: F) =>
    take(key, ({ ends }) => ends?.includes(place) === true) ?? take(key, ({ ends }) => ends === undefined);
  // Match final messages first: those in transit fit anywhere.
  const all = [...found], doubled: F[] = [], strangers: F[] = [], misplaced: { entered: E; found: F }[] = [];
  const astray = all.filter((one) => one.isOnItsWay !== true && belongs(one) === undefined);
  const onTheirWay = all.filter((one) => one.isOnItsWay === true);
  for (const one of [...astray, ...onTheirWay]) {
    const other = take(one.key, () => true);
    if (!other) (known.has(one.key) ? doubled : strangers).push(one);
    else if (one.isOnItsWay !== true) misplaced.push({ entered: other, found: one });
  }
  return { lost: [...open.values()].flat(), doubled, strangers, misplaced };
}

/** Whether there are no problems. */
export function isConserved({ lost, doubled, strangers, misplaced }: Differences): boolean {
  return lost.length + doubled.length + strangers.length + misplaced.length === 0;
}
