/**
 * Verifies that a journal is what was written. Three details:
 *
 * Each entry has a number and the hash of the entry before, and its own hash covers its id, so its time. The *head*, number
 * and hash of the newest entry, is kept outside of the stream, so that removing the newest entries shows. The oldest entry
 * that is kept is the anchor: its number says how many were trimmed.
 *
 * If Redis refused an entry (the user may not call XADD), its number is used up: the next entry has a higher number, and the
 * hash of the last one that was written.
 *
 * There is no secret: a person who may write to Redis can make a new chain that fits. A copy of the head, kept elsewhere, shows
 * that too. Pure.
 */
import { createHash } from "node:crypto";
import type { RawEntry } from "../redis/journal_store.ts";

/** Number and hash of an entry. */
export interface ChainHead {
  readonly number: number;
  /** Hash of the last entry that was written; empty: none was. */
  readonly hash: string;
}

/** What a break proves. */
export const BREAKS = {
  foreign: "The entry was not written by this service, or its place in the journal was changed.",
  changed: "The entry before this place was changed, or this one was.",
  removed: "Entries were removed here, or the entry before this place was changed.",
  restarted: "The journal began anew here: its head had been deleted. Entries before this place may have been removed.",
  oldest_removed: "The oldest entries were removed, and not because the journal was full.",
  newest_removed: "The newest entries were removed or changed, or the head was.",
  head_missing: "The head was deleted: it is not known whether the newest entries were removed.",
  not_the_copy: "The entry with the number of the copied head is another one: the journal was rewritten.",
} as const;
/** A kind of break. */
export type BreakKind = keyof typeof BREAKS;

/** A place where the chain does not fit. */
export interface ChainBreak {
  readonly kind: BreakKind;
  /** Ids of the entries on both sides; `null`: the end of the journal. */
  readonly after: string | null;
  readonly before: string | null;
}

/** Result of a verification. */
export interface ChainReport {
  readonly isIntact: boolean;
  /** Entries in the journal. */
  readonly entries: number;
  /** Entries that were removed because the journal was full. */
  readonly trimmed: number;
  /** Entries that Redis refused. */
  readonly unwritten: number;
  /** The first breaks, oldest first. */
  readonly breaks: readonly ChainBreak[];
  /** `<number> <hash>` of the newest entry, to be kept elsewhere; `null`: there is none. */
  readonly head: string | null;
}

/** Breaks that are reported. */
const MOST_BREAKS = 20;

/** Returns an entry's hash, as `append_entry.lua` computes it. */
export function hashEntry({ id, number, previous, text }: Omit<RawEntry, "isWhole">): string {
  return createHash("sha1").update(`${id} ${number} ${previous} ${text}`).digest("hex");
}

/** Parses `<number> <hash>`, as the scripts write it; `null` if it is anything else. */
export function parseHead(text: string): ChainHead | null {
  const [, number, hash] = /^(\d{1,15}) ([0-9a-f]{40}|)$/.exec(text) ?? [];
  return number === undefined ? null : { number: Number(number), hash: hash! };
}

/** Options of a check. */
export interface ChainOptions {
  /** Entries that the journal keeps before it is trimmed. */
  readonly kept: number;
  /** A head of this journal that was copied earlier; default: none. */
  readonly copy?: ChainHead;
}

/** Checks a journal entry by entry: {@link ChainCheck.add} all from the oldest on, then {@link ChainCheck.finish}. */
export class ChainCheck {
  readonly #options: ChainOptions;
  readonly #breaks: ChainBreak[] = [];
  #entries = 0;
  #trimmed = 0;
  #unwritten = 0;
  #first: { id: string; number: number; previous: string } | null = null;
  #last: { id: string; number: number; hash: string } | null = null;

  constructor(options: ChainOptions) {
    this.#options = options;
  }

  add(entry: RawEntry): void {
    this.#entries++;
    const last = this.#last, number = readNumber(entry);
    if (number === null) return this.#broken("foreign", { before: entry.id });
    if (last === null) {
      this.#first = { id: entry.id, number, previous: entry.previous };
      // With no hash of an entry before, none before was written.
      if (entry.previous === "") this.#unwritten += number - 1;
      else this.#trimmed = number - 1;
    } else if (number === 1 && entry.previous === "") {
      this.#broken("restarted", { before: entry.id });
    } else if (number <= last.number) {
      return this.#broken("foreign", { before: entry.id });
    } else if (entry.previous !== last.hash) {
      this.#broken(number === last.number + 1 ? "changed" : "removed", { before: entry.id });
    } else {
      this.#unwritten += number - last.number - 1;
    }
    const hash = hashEntry(entry), { copy } = this.#options;
    this.#last = { id: entry.id, number, hash };
    if (copy && copy.number === number && copy.hash !== hash) this.#broken("not_the_copy", { before: null });
  }

  /** @param head the head at the instant when the last entry was the newest */
  finish(head: string): ChainReport {
    const known = parseHead(head), last = this.#last, first = this.#first;
    const isShort = this.#entries < this.#options.kept;
    if (first && first.previous !== "" && isShort) {
      this.#breaks.unshift({ kind: "oldest_removed", after: null, before: first.id });
      this.#trimmed = 0;
    } else if (first && first.number === 1 && first.previous !== "") {
      this.#breaks.unshift({ kind: "changed", after: null, before: first.id });
    }
    if (known === null) {
      if (last || head !== "") this.#broken("head_missing", { before: null });
    } else if (known.hash !== (last?.hash ?? "") || known.number < (last?.number ?? 0)) {
      this.#broken("newest_removed", { before: null });
    } else {
      this.#unwritten += known.number - (last?.number ?? 0);
    }
    const { copy } = this.#options;
    if (copy && copy.number > (known?.number ?? 0)) this.#broken("not_the_copy", { before: null });
    return {
      isIntact: this.#breaks.length === 0,
      ...{ entries: this.#entries, trimmed: this.#trimmed, unwritten: this.#unwritten },
      breaks: this.#breaks.slice(0, MOST_BREAKS),
      head: known && head,
    };
  }

  #broken(kind: BreakKind, { before }: { before: string | null }): void {
    if (this.#breaks.length < MOST_BREAKS) this.#breaks.push({ kind, after: this.#last?.id ?? null, before });
  }
}

function readNumber({ isWhole, number, previous }: RawEntry): number | null {
  const isOurs = isWhole && /^[1-9]\d{0,14}$/.test(number) && /^([0-9a-f]{40}|)$/.test(previous);
  return isOurs ? Number(number) : null;
}
