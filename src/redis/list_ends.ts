/** The ends of lists, for commands that are sent without a script. Scripts are turned round as a whole (`scripts.ts`). */
import { isOwnKey, type Push } from "../message/source_policy.ts";

/** How a list is pushed and read. */
export interface ListEnds {
  /** The command that adds the newest messages, the oldest of them first. */
  readonly push: "lpush" | "rpush";
  /** Returns the bounds of an LRANGE over two places, from 1 at the oldest message. */
  readonly range: (from: number, to: number) => readonly [start: number, stop: number];
  /** Sorts the reply to it, in place: the oldest message first. */
  readonly oldestFirst: <Message>(found: Message[]) => Message[];
}

const ENDS: Readonly<Record<Push, ListEnds>> = {
  LPUSH: { push: "lpush", range: (from, to) => [-to, -from], oldestFirst: (found) => found.reverse() },
  RPUSH: { push: "rpush", range: (from, to) => [from - 1, to - 1], oldestFirst: (found) => found },
};

/** Returns the ends of a list of a source whose messages are pushed so. The service's own lists are pushed to the left. */
export function endsOf(key: string, push: Push): ListEnds {
  return ENDS[isOwnKey(key) ? "LPUSH" : push];
}
