/** Pairs the names of lists: which looks like a DLQ, and which could be its target. Looks at names only. Pure. */
import { shellWord } from "../runtime/shell_word.ts";
import { deadListNames, parseDeadName, parseDlqName, workQueueNames } from "../config/dlq_names.ts";
import { isOwnKey } from "../message/source_policy.ts";
import { foreignByName, type ForeignQueue } from "./foreign_queues.ts";

/** A DLQ and what it may be paired with. */
export interface PairCandidate {
  readonly dlq: string;
  /** Whether the name alone says that it is a DLQ. */
  readonly isSure: boolean;
  readonly target: string;
  /** Whether a list of that name was seen. An empty list does not exist in Redis. */
  readonly isTargetSeen: boolean;
  /** Names for its dead list, the best first. */
  readonly dead: readonly string[];
}

/** A list that is not proposed, and why. */
export interface LeftList {
  readonly list: string;
  readonly why: string;
}

/** Lists of another library. */
export interface ForeignLists {
  readonly library: string;
  readonly advice: string;
  readonly count: number;
  readonly example: string;
}

/** What the names say. */
export interface PairedLists {
  /** The surest first. */
  readonly candidates: readonly PairCandidate[];
  readonly left: readonly LeftList[];
  readonly foreign: readonly ForeignLists[];
}

/** What a sources file accepts as a key (`key_names.ts`), without hidden characters. Names that are not UTF-8 have U+FFFD. */
const USABLE = /^[^\s\p{Cc}\p{Cf}\p{Cs}\ufffd]{1,512}$/u;

/** Whether a person can read the name of a list, and a sources file can hold it. */
export function isUsableName(key: string): boolean {
  return USABLE.test(key);
}

/** Pairs lists. `known`: lists that have a role already, and which. */
export function pairLists(
  lists: ReadonlySet<string>,
  { known }: { readonly known: ReadonlyMap<string, string> },
): PairedLists {
  const withDlq = new Set([...lists].map((list) => parseDlqName(list)?.base));
  const candidates: PairCandidate[] = [], left: LeftList[] = [], foreign = new Map<ForeignQueue, ForeignLists>();
  for (const list of [...lists].sort()) {
    if (isOwnKey(list)) continue;
    const library = foreignByName(list);
    if (library) foreign.set(library, addForeign(foreign.get(library), { list, library }));
    else if (known.has(list)) left.push({ list, why: known.get(list)! });
    else if (parseDeadName(list) !== null) left.push(...judgeDeadList(list, { lists, withDlq }));
    else if (parseDlqName(list) !== null) {
      const found = findTarget(list, { lists, known });
      if ("why" in found) left.push({ list, why: found.why });
      else candidates.push(found);
    }
  }
  const certainty = (one: PairCandidate) => (one.isTargetSeen ? 2 : 0) + (one.isSure ? 1 : 0);
  return {
    candidates: candidates.toSorted((a, b) => certainty(b) - certainty(a)),
    left,
    foreign: [...foreign.values()],
  };
}

/** A library may have 100,000 lists: only their count and one name are kept. */
function addForeign(
  found: ForeignLists | undefined,
  { list, library: { library, advice } }: { list: string; library: ForeignQueue },
): ForeignLists {
  return { library, advice, count: (found?.count ?? 0) + 1, example: found?.example ?? list };
}

function findTarget(
  dlq: string,
  { lists, known }: { lists: ReadonlySet<string>; known: ReadonlyMap<string, string> },
): PairCandidate | { readonly why: string } {
  const name = parseDlqName(dlq)!, names = workQueueNames(name), [base] = names;
  if (base === undefined) return { why: `no work queue can be told from the name; ${byHand(dlq, "NAME")}` };
  const seen = names.filter((one) => lists.has(one));
  // The name without any other word is the best; two of the others are as good as each other.
  const target = seen[0] ?? base;
  if (target !== base && seen.length > 1) {
    return { why: `${seen.join(" and ")} could be its work queue; ${byHand(dlq, seen[0]!)}` };
  }
  if (seen.length === 0 && !name.isSure) return { why: `no list ${base} was seen to replay to; ${byHand(dlq, base)}` };
  const library = foreignByName(target);
  if (library) return { why: `${target} looks like a queue of ${library.library}: ${library.advice}` };
  if (isOwnKey(target)) return { why: `${target} is a key of this service` };
  if (known.has(target)) return { why: `${target} has a role already: ${known.get(target)}` };
  if (parseDlqName(target) !== null || parseDeadName(target) !== null) {
    return { why: `${target} looks like a DLQ or a dead list itself; ${byHand(dlq, "NAME")}` };
  }
  const dead = deadListNames(target, name.separator).filter((one) =>
    isUsableName(one) && one !== dlq && !isOwnKey(one) && !known.has(one) && foreignByName(one) === null
  );
  return { dlq, isSure: name.isSure, target, isTargetSeen: seen.length > 0, dead };
}

/** Beside a DLQ it may be its dead list. Without one, it may be the DLQ itself. */
function judgeDeadList(
  list: string,
  { lists, withDlq }: { lists: ReadonlySet<string>; withDlq: ReadonlySet<string | null | undefined> },
): LeftList[] {
  const base = parseDeadName(list)!;
  if (withDlq.has(base) || !lists.has(base)) return [];
  return [{ list, why: `such a list is mostly final; ${byHand(list, base)}` }];
}

/** The command for somebody who knows better. `more`: further flags. */
export function tryCommand(dlq: string, target: string, more: readonly string[] = []): string {
  const lists = ["--dlq", shellWord(dlq), "--target", shellWord(target)];
  return ["mutt-remediation watch --dry-run", ...lists, ...more].join(" ");
}

function byHand(dlq: string, target: string): string {
  return `if it is a DLQ: ${tryCommand(dlq, target)}`;
}
