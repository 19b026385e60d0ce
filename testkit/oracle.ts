/**
 * Says whether every message that went in is there exactly once, with its bytes, and where it belongs. Pure.
 *
 * Messages are compared by a key that must survive whatever happens to them: `coreOf` (model.ts) where every byte counts, an id
 * where consumers build new messages. With `coreOf` a message whose bytes were changed is lost, and a stranger is found instead.
 */

/** A message that went in. */
export interface Entered {
  readonly key: string;
  /** Names of the places where it may end; absent: anywhere. */
  readonly ends?: readonly string[] | undefined;
}

/** A message as it was found: one for each copy. */
export interface Found {
  readonly key: string;
  readonly place: string;
  /** Whether it has not ended yet, so that it may be anywhere. Default: it has. */
  readonly isOnItsWay?: boolean;
}

/** What is wrong; four empty lists where nothing is. */
export interface Differences<E extends Entered = Entered, F extends Found = Found> {
  /** Went in, and is nowhere. */
  readonly lost: readonly E[];
  /** A copy more than went in. */
  readonly doubled: readonly F[];
  /** Never went in. */
  readonly strangers: readonly F[];
  /** Ended where it must not, such as a healthy message in the dead list. */
  readonly misplaced: readonly { readonly entered: E; readonly found: F }[];
}

/** Compares. Of messages with equal keys each is matched, as far as that goes, with one that belongs where it was found. */
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
  // What has ended chooses first: what has not suits everywhere.
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

/** Whether nothing is wrong. */
export function isConserved({ lost, doubled, strangers, misplaced }: Differences): boolean {
  return lost.length + doubled.length + strangers.length + misplaced.length === 0;
}
