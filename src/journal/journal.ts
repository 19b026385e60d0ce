/**
 * The journals: what was moved (one journal a source, written by the commits themselves), what people and the service did
 * (`audit`), and what went wrong (`incidents`). Reads are bounded and change nothing.
 */
import type { Log } from "../observability/log.ts";
import { ENTRIES_KEPT, type JournalAddress, type JournalStore, type RawEntry } from "../redis/journal_store.ts";
import { type Clock, toIso } from "../runtime/clock.ts";
import { ChainCheck, type ChainHead, type ChainReport } from "./chain.ts";
import { type Entry, formatEntry, type InvalidEntry, journalOf, type NewEntry, parseEntry } from "./entries.ts";
import {
  besideId,
  compareIds,
  formatCursor,
  isWanted,
  type JournalName,
  type JournalQuery,
  JOURNALS,
  parseCursor,
  sourceOf,
} from "./query.ts";
import { JournalWriter } from "./writer.ts";

/** Entries in one read. */
const PAGE = 100;
/** Entries that one query reads at most. */
const MOST_READ = 20_000;
/** How often {@link Journal.follow} looks for new entries, in milliseconds. */
const FOLLOW_MS = 1_000;

/** An entry and where it stands. */
export interface FoundEntry {
  readonly journal: JournalName;
  /** Id in its journal. */
  readonly id: string;
  /** When it was written, in milliseconds of the server's clock. */
  readonly atMs: number;
  /** The source that it is about; `null`: none in particular. */
  readonly source: string | null;
  readonly entry: Entry | InvalidEntry;
}

/** Result of a query. */
export interface JournalAnswer {
  readonly entries: readonly FoundEntry[];
  /** Continues behind the last entry that was read. With `oldestFirst` it also finds what is written later. */
  readonly cursor: string;
  /** Whether all entries were read; false: go on with the cursor. */
  readonly isComplete: boolean;
}

/** A journal that was verified. */
export interface VerifiedJournal extends ChainReport {
  /** `audit`, `incidents` or `moves <source>`. */
  readonly name: string;
}

/** A source with a journal of moves. */
export interface JournalSource {
  readonly name: string;
  readonly dlq: string;
}

/** Dependencies of a {@link Journal}. */
export interface JournalDeps {
  readonly store: JournalStore;
  /** Name of this process in the entries. */
  readonly instance: string;
  /** Whether Redis is connected. */
  readonly isReady: () => boolean;
  readonly clock: Clock;
  readonly log: Log;
}

/** One stream in Redis, as queries see it. */
interface Stream {
  /** In cursors. */
  readonly name: string;
  readonly journal: JournalName;
  readonly source: string | null;
  readonly address: JournalAddress;
}

/** Records entries, and finds and verifies them. */
export class Journal {
  readonly #deps: JournalDeps;
  readonly #writer: JournalWriter;
  #sources: () => readonly JournalSource[] = () => [];

  constructor(deps: JournalDeps) {
    this.#deps = deps;
    const { store, isReady, clock, log } = deps;
    this.#writer = new JournalWriter({ isReady, clock, log, append: (name, text) => store.append(name, text) });
  }

  /** Attaches the sources whose moves are read; before: none. */
  attachSources(sources: () => readonly JournalSource[]): void {
    this.#sources = sources;
  }

  /** Writes an entry now. Rejects with a `StoreError`; the entry may have been written nevertheless. */
  async record(entry: NewEntry): Promise<void> {
    await this.#deps.store.append(journalOf(entry), this.#format(entry));
  }

  /** Writes an entry in the background, after {@link Journal.start} and as soon as Redis takes it. Never throws. */
  note(entry: NewEntry): void {
    this.#writer.write(journalOf(entry), this.#format(entry));
  }

  /** Begins to write what {@link Journal.note} was given: call it when Redis is known to be safe. */
  start(): void {
    this.#writer.start();
  }

  /** Writes what waits if it was started and Redis answers within a second. Never rejects. */
  stop(): Promise<void> {
    return this.#writer.stop();
  }

  /** Finds entries, by time over all journals. Rejects with a `StoreError`. @throws RangeError if the cursor is not one */
  async query(query: JournalQuery): Promise<JournalAnswer> {
    const positions = query.cursor === undefined ? {} : parseCursor(query.cursor);
    if (positions === null) throw new RangeError("the cursor is not one that a query has returned");
    const readers = this.#streams(query).map((stream) =>
      new StreamReader(this.#deps.store, stream, query, positions[stream.name])
    );
    const entries: FoundEntry[] = [];
    let read = 0, isComplete = false;
    while (entries.length < query.limit && read < MOST_READ) {
      await Promise.all(readers.map((reader) => reader.fill()));
      const next = readers.filter((reader) => reader.peek() !== undefined).reduce<StreamReader | null>(
        (best, reader) => best === null || isBefore(reader.peek()!, best.peek()!, query) ? reader : best,
        null,
      );
      if (next === null) {
        isComplete = true;
        break;
      }
      const { stream } = next, found = toFound(next.take(), stream);
      read++;
      if (isWanted(found.entry, stream.source, query)) entries.push(found);
    }
    const ends = Object.fromEntries(readers.flatMap((reader) => {
      const position = reader.position();
      return position === undefined ? [] : [[reader.stream.name, position]];
    }));
    return { entries, isComplete, cursor: formatCursor({ ...positions, ...ends }) };
  }

  /**
   * Returns the wanted entries that are written from now on (with a cursor: behind it), until the signal aborts. `limit` and
   * `oldestFirst` do not matter. Rejects with a `StoreError`.
   */
  async *follow(query: JournalQuery, signal: AbortSignal): AsyncGenerator<FoundEntry> {
    let cursor = query.cursor ?? await this.end(query);
    while (!signal.aborted) {
      const answer = await this.query({ ...query, cursor, limit: PAGE, oldestFirst: true });
      for (const found of answer.entries) {
        if (signal.aborted) return;
        yield found;
      }
      cursor = answer.cursor;
      if (answer.isComplete) await this.#deps.clock.sleep(FOLLOW_MS, signal);
    }
  }

  /** Verifies the chains of journals (default: all). `copies`: heads that were copied earlier, by `audit`, `moves <source>`, …. */
  async verify(
    { journals, source, copies = {} }: Pick<JournalQuery, "journals" | "source"> & {
      copies?: Readonly<Record<string, ChainHead>>;
    } = {},
  ): Promise<readonly VerifiedJournal[]> {
    const streams = this.#streams({ ...(journals ? { journals } : {}), ...(source === undefined ? {} : { source }) });
    const verified: VerifiedJournal[] = [];
    for (const stream of streams) {
      const { name } = stream;
      verified.push({ name, ...await this.#verifyOne(stream, copies[name]) });
    }
    return verified;
  }

  /** Returns a cursor behind the newest entry of each journal, for queries with `oldestFirst`. Rejects with a `StoreError`. */
  async end(query: Pick<JournalQuery, "journals" | "source"> = {}): Promise<string> {
    const ends = await Promise.all(
      this.#streams(query).map(async ({ name, address }) => {
        const { entries: [newest] } = await this.#deps.store.read(address, { newestFirst: true, count: 1 });
        return [name, newest?.id ?? "0-0"] as const;
      }),
    );
    return formatCursor(Object.fromEntries(ends));
  }

  async #verifyOne({ address, journal }: Stream, copy?: ChainHead): Promise<ChainReport> {
    const check = new ChainCheck({ kept: ENTRIES_KEPT[journal], ...(copy ? { copy } : {}) });
    for (let from: string | null = "0-0"; from !== null;) {
      const { entries, head } = await this.#deps.store.read(address, { from, count: PAGE });
      for (const entry of entries) check.add(entry);
      from = entries.length < PAGE ? null : besideId(entries.at(-1)!.id, "after");
      // The head was read in the same instant as the last entries.
      if (from === null) return check.finish(head);
    }
    throw new Error("unreachable: the last id of a stream is read as the last page");
  }

  #streams({ journals = JOURNALS, source }: Pick<JournalQuery, "journals" | "source">): readonly Stream[] {
    const shared = (["audit", "incidents"] as const).filter((name) => journals.includes(name)).map((name): Stream => ({
      ...{ name, journal: name, source: null, address: name },
    }));
    const sources = journals.includes("moves") ? this.#sources() : [];
    return [
      ...sources.filter(({ name }) => source === undefined || name === source).map(({ name, dlq }): Stream => ({
        ...{ name: `moves ${name}`, journal: "moves", source: name, address: { dlq } },
      })),
      ...shared,
    ];
  }

  #format(entry: NewEntry): string {
    return formatEntry(entry, { at: toIso(this.#deps.clock.nowMs()), instance: this.#deps.instance });
  }
}

/** Reads one stream page by page, and remembers how far its entries were taken. */
class StreamReader {
  readonly stream: Stream;
  readonly #store: JournalStore;
  readonly #query: JournalQuery;
  #buffer: RawEntry[] = [];
  /** The next id to read; `null`: the end was reached. */
  #next: string | null;
  #taken: string | undefined;

  constructor(store: JournalStore, stream: Stream, query: JournalQuery, after: string | undefined) {
    this.#store = store;
    this.stream = stream;
    this.#query = query;
    this.#taken = after;
    const { oldestFirst, fromMs, toMs } = query;
    const start = oldestFirst ? fromMs === undefined ? "-" : String(fromMs) : toMs === undefined ? "+" : String(toMs);
    this.#next = after === undefined ? start : this.#beside(after);
  }

  /** Reads the next page if nothing is left of the last one. */
  async fill(): Promise<void> {
    if (this.#buffer.length > 0 || this.#next === null) return;
    const { oldestFirst, fromMs, toMs } = this.#query;
    const { entries } = await this.#store.read(this.stream.address, {
      from: oldestFirst ? this.#next : String(fromMs ?? "-"),
      to: oldestFirst ? String(toMs ?? "+") : this.#next,
      newestFirst: !oldestFirst,
      count: PAGE,
    });
    this.#buffer = [...entries];
    this.#next = entries.length < PAGE ? null : this.#beside(entries.at(-1)!.id);
  }

  peek(): RawEntry | undefined {
    return this.#buffer[0];
  }

  take(): RawEntry {
    const entry = this.#buffer.shift()!;
    this.#taken = entry.id;
    return entry;
  }

  /**
   * Returns the id behind which the next query goes on; `undefined`: at its beginning. Newest first, a journal of which nothing
   * was taken yet goes on with the entry that is next now, so that newer ones do not appear in later pages.
   */
  position(): string | undefined {
    if (this.#taken !== undefined || this.#query.oldestFirst) return this.#taken;
    const next = this.peek();
    return next ? besideId(next.id, "after") ?? next.id : "0-0";
  }

  #beside(id: string): string | null {
    return besideId(id, this.#query.oldestFirst ? "after" : "before");
  }
}

function isBefore(a: RawEntry, b: RawEntry, { oldestFirst }: JournalQuery): boolean {
  return compareIds(a.id, b.id) * (oldestFirst ? 1 : -1) < 0;
}

function toFound({ id, isWhole, text }: RawEntry, { journal, source }: Stream): FoundEntry {
  const entry: Entry | InvalidEntry = isWhole
    ? parseEntry(text)
    : { kind: "invalid", problem: "it has other fields than number, previous, entry" };
  return { journal, id, atMs: Number(id.split("-")[0]), source: sourceOf(entry, source), entry };
}
