/**
 * Recognizes dead-letter queues by their names, and derives the names of the other lists of a source. A name is only a hint: the
 * caller looks at the lists. Pure.
 */
import { isBuiltIn } from "./sources.ts";

/** Where a word of {@link DLQ_WORDS} may stand in a name: `orders:dlq`, `dlq:orders`, `shop:dlq:orders`. */
type Place = "end" | "start" | "middle";

/** Words of one meaning. */
interface DlqWords {
  /** In lower case. If one begins with another, the longer one is first. */
  readonly words: readonly string[];
  readonly places: readonly Place[];
  /** Whether such a name is a DLQ's, even if its work queue is not seen. */
  readonly isSure: boolean;
}

/** The words that name a DLQ, the surest first. Case does not matter. */
const DLQ_WORDS: readonly DlqWords[] = [
  { words: ["dlq"], places: ["end", "start", "middle"], isSure: true },
  {
    words: [
      ...["dead-letter-queue", "dead_letter_queue", "deadletterqueue", "dead-letters", "dead_letters", "deadletters"],
      ...["dead-letter", "dead_letter", "deadletter"],
    ],
    places: ["end", "start", "middle"],
    isSure: true,
  },
  { words: ["failed", "failures", "failure"], places: ["end", "start"], isSure: false },
  { words: ["errors", "error"], places: ["end"], isSure: false },
];

/** What separates the words of a name. */
const SEPARATOR = "[:._/-]";

/** What a work queue may be called behind the common part of the names: `orders:queue` beside `orders:dlq`. */
const WORK_WORDS = ["queue", "main", "work", "jobs", "tasks", "pending"] as const;
/** What a dead list may be called behind the name of the target. */
const DEAD_WORDS = ["dead", "buried", "dead-for-good"] as const;

/** The parts of a DLQ's name. */
export interface DlqName {
  /** The word that names the DLQ, as it is written. */
  readonly word: string;
  readonly isSure: boolean;
  /** The name without the word, which is the name of the work queue; `null`: the name has no other part. */
  readonly base: string | null;
  /** The separator at the word. */
  readonly separator: string;
}

/** Parses the name of a list; `null` if it does not look like a DLQ's. */
export function parseDlqName(key: string): DlqName | null {
  for (const { words, places, isSure } of DLQ_WORDS) {
    for (const word of words) {
      if (key.toLowerCase() === word) return { word: key, isSure, base: null, separator: ":" };
      for (const place of places) {
        const found = PATTERNS[place](word).exec(key)?.groups;
        if (found) return { word: found.word!, isSure, base: baseOf(found), separator: found.separator! };
      }
    }
  }
  return null;
}

const PATTERNS: Readonly<Record<Place, (word: string) => RegExp>> = {
  end: (word) => new RegExp(`^(?<before>.+)(?<separator>${SEPARATOR})(?<word>${word})$`, "is"),
  start: (word) => new RegExp(`^(?<word>${word})(?<separator>${SEPARATOR})(?<after>.+)$`, "is"),
  middle: (word) =>
    new RegExp(`^(?<before>.+?)(?<separator>${SEPARATOR})(?<word>${word})(?:${SEPARATOR})(?<after>.+)$`, "is"),
};

function baseOf({ before, separator, after }: Readonly<Record<string, string | undefined>>): string {
  return before !== undefined && after !== undefined ? `${before}${separator}${after}` : before ?? after ?? "";
}

/** Names that the work queue of a DLQ may have, the likeliest first. */
export function workQueueNames({ base, separator }: DlqName): readonly string[] {
  return base === null ? [] : [base, ...WORK_WORDS.map((word) => `${base}${separator}${word}`)];
}

/** Names for a dead list beside a target, the best first. */
export function deadListNames(target: string, separator = ":"): readonly string[] {
  return DEAD_WORDS.map((word) => `${target}${separator}${word}`);
}

/** The dead list of a source that names none: `orders:dead` for the target `orders`, with the separator of the DLQ's name. */
export function defaultDeadList({ dlq, target }: { readonly dlq: string; readonly target: string }): string {
  return deadListNames(target, parseDlqName(dlq)?.separator)[0]!;
}

/** The list's name without the word for a dead list; `null` if it does not end in one. */
export function parseDeadName(key: string): string | null {
  return new RegExp(`^(.+)${SEPARATOR}(?:${DEAD_WORDS.join("|")})$`, "is").exec(key)?.[1] ?? null;
}

/** Longest name of a source; `SOURCE_NAME_PATTERN` in `sources_file.ts`. */
const MAX_NAME = 32;

/** Makes the name of a source from that of its DLQ. It is none of `taken`, and no built-in source's. */
export function sourceNameOf(dlq: string, taken: ReadonlySet<string> = new Set()): string {
  const plain = (parseDlqName(dlq)?.base ?? dlq).toLowerCase().replace(/[^a-z0-9_]+/g, "-").replace(/^[^a-z]+/, "");
  const name = plain.slice(0, MAX_NAME).replace(/[-_]+$/, "") || "source";
  const isFree = (one: string) => !taken.has(one) && !isBuiltIn(one);
  if (isFree(name)) return name;
  for (let number = 2;; number++) {
    const numbered = `${name.slice(0, MAX_NAME - 1 - String(number).length)}-${number}`;
    if (isFree(numbered)) return numbered;
  }
}
