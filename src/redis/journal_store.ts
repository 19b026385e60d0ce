/**
 * Reads the journals, and appends to those that all sources share. The scripts of a commit append to the journals of moves.
 * Calls reject with a `StoreError`; none is retried.
 */
import type { RedisClient } from "./cluster.ts";
import { unknownAnswer, wrongTypeError } from "./errors.ts";
import { journalHeadKey, journalKey, movesKey, stateKey } from "./keys.ts";
import { loadScript, type Script } from "./scripts.ts";
import readJournal from "./scripts/read_journal.lua" with { type: "text" };
import recordEntry from "./scripts/record_entry.lua" with { type: "text" };

/** A journal that all sources share. */
export type SharedJournal = "audit" | "incidents";
/** A journal: shared, or the moves of the source with this DLQ. */
export type JournalAddress = SharedJournal | { readonly dlq: string };

/** How many entries a journal keeps; somewhat more, because Redis trims whole nodes. `commit_checks.lua` has the first number. */
export const ENTRIES_KEPT = { moves: 10_000, audit: 20_000, incidents: 5_000 } as const;

/** Fields of the state and of a shared journal's head. */
const MOVES_HEAD = "movesHead";

/** An entry as it is in Redis. A field that is missing is empty. */
export interface RawEntry {
  /** Id in the stream: `<milliseconds>-<sequence>`, by the server's clock. */
  readonly id: string;
  /** Number of the entry, from 1. */
  readonly number: string;
  /** Hash of the entry before; empty in the first one. */
  readonly previous: string;
  /** The entry as JSON. */
  readonly text: string;
  /** Whether it has exactly the three fields above. */
  readonly isWhole: boolean;
}

/** A part of a journal. */
export interface JournalPage {
  readonly entries: readonly RawEntry[];
  /** `<number> <hash>` of the newest entry at the instant of the read, as Redis keeps it beside the journal; empty: unknown. */
  readonly head: string;
}

/** Which part of a journal to read. Both ids are included. */
export interface JournalRange {
  /** Default: from the oldest. */
  readonly from?: string;
  /** Default: to the newest. */
  readonly to?: string;
  readonly newestFirst?: boolean;
  readonly count: number;
}

/** Reads and appends. */
export class JournalStore {
  readonly #read: Script;
  readonly #append: Script;

  constructor({ reader, committer }: { reader: RedisClient; committer: RedisClient }) {
    this.#read = loadScript(reader, { name: "readJournal", keys: 2, lua: readJournal });
    this.#append = loadScript(committer, { name: "recordEntry", keys: 2, lua: recordEntry });
  }

  /** Appends an entry. After a lost reply it may be there or not. */
  async append(name: SharedJournal, text: string): Promise<void> {
    const reply = String(await this.#append(journalKey(name), journalHeadKey(name), ENTRIES_KEPT[name], text));
    if (reply === "wrong_type") throw wrongType(name);
    if (reply !== "ok") throw unknownAnswer(reply);
  }

  /** Reads a part of a journal. Changes nothing. */
  async read(
    address: JournalAddress,
    { from = "-", to = "+", newestFirst, count }: JournalRange,
  ): Promise<JournalPage> {
    const keys = typeof address === "string"
      ? [journalKey(address), journalHeadKey(address)]
      : [movesKey(address.dlq), stateKey(address.dlq)];
    const range = newestFirst ? ["XREVRANGE", to, from] : ["XRANGE", from, to];
    const reply = await this.#read(...keys, ...range, count, typeof address === "string" ? "" : MOVES_HEAD);
    if (String(reply) === "wrong_type") throw wrongType(address);
    if (!Array.isArray(reply)) throw unknownAnswer(reply);
    const [head, ...entries] = reply as [unknown, ...[unknown, unknown[]][]];
    return { head: String(head), entries: entries.map(toRawEntry) };
  }
}

function toRawEntry([id, flat]: [unknown, unknown[]]): RawEntry {
  const texts = flat.map(String);
  const [first, number = "", second, previous = "", third, text = ""] = texts;
  const isWhole = texts.length === 6 && first === "number" && second === "previous" && third === "entry";
  return isWhole
    ? { id: String(id), number, previous, text, isWhole }
    : { id: String(id), number: "", previous: "", text: "", isWhole };
}

function wrongType(address: JournalAddress) {
  const [key, head] = typeof address === "string"
    ? [journalKey(address), journalHeadKey(address)]
    : [movesKey(address.dlq), stateKey(address.dlq)];
  return wrongTypeError(`${key} is not a stream, or ${head} is not what this service writes: rename or delete it`);
}
