/**
 * Reads the lists of a source for people and jobs: pages, walks, and searches for one message. Three details matter:
 *
 * - A place counts from 1 at the oldest message. Pushes do not change it; pops make it smaller. So a read that goes on behind a
 *   message includes that message and compares it, in one command. If it is not there, it is searched near by.
 * - While a job sweeps, the DLQ goes on in its shelf. A script reads both at one instant.
 * - The size of a message is known only once Redis has read it. A script reads a few at a time, stops at the bounds, and only
 *   describes a message that is too large. A long walk over small messages reads them by LRANGE (`range_reader.ts`).
 */
import type { Buffer } from "node:buffer";
import { idOfDigest, messageId } from "../message/message_id.ts";
import type { Watermark } from "../message/selection.ts";
import type { ListName, SourcePolicy } from "../message/source_policy.ts";
import type { RedisClient } from "./cluster.ts";
import { unknownAnswer } from "./errors.ts";
import { shelfKey } from "./keys.ts";
import { type RecordedStamp, recordKey } from "../message/stamp_record.ts";
import { RangeReader, type WalkConnection } from "./range_reader.ts";
import { createRecordReader, type ReadRecords } from "./record_reader.ts";
import { SAMPLE_BYTES } from "./sample.ts";
import { loadReadOnlyScript, loadScript, type Script } from "./scripts.ts";
import readList from "./scripts/read_list.lua" with { type: "text" };

/** The way from one message to the next. */
export type Direction = "newer" | "older";

/** The last message seen. As text: `<place>.<id>`. */
export interface Cursor {
  readonly place: number;
  readonly id: string;
}

/** Most messages and bytes of one read: about a millisecond of Redis. */
export interface ReadBounds {
  readonly messages: number;
  readonly bytes: number;
}

/** A page to read. */
export interface PageRequest {
  /** A place alone begins with what is there now. */
  readonly from: "oldest" | "newest" | Cursor | number;
  /** From the oldest, `newer`; from the newest, `older`. */
  readonly direction: Direction;
  /** Most messages. */
  readonly size: number;
  /** Most bytes of all messages together; default: 1 MiB. The page holds at least one message. */
  readonly bytes?: number;
}

/** Messages of a list, in the direction of the request. */
export interface Page {
  readonly depth: number;
  /** Whether the message of the cursor is no longer near its place. Then there are no rows. */
  readonly movedOn: boolean;
  readonly rows: readonly ListRow[];
  /** Cursors of the pages on either side; `null` at the end of the list. */
  readonly newer: Cursor | null;
  readonly older: Cursor | null;
}

/** Options of a {@link ListReader}. */
export interface ListReaderOptions {
  /** A larger message is described and not read. */
  readonly maxMessageBytes: number;
  /** Opens a connection for a long walk, which is released at its end; default: the script reads every message. */
  readonly openForWalk?: () => WalkConnection;
  /** A walk over more messages than this opens one; default: 5,000. */
  readonly rangesFrom?: number;
  /** Whether a user that may only read keys must be enough; each read then sends the script. Default: false. */
  readonly isReadOnly?: boolean;
}

/** Options of a walk. */
export interface WalkOptions {
  /** Bounds of each read; default: 500 messages and 250 KB. */
  readonly bounds?: ReadBounds;
  /** Abort to end the walk. */
  readonly signal?: AbortSignal;
  /** The last message of the walk; default: the newest one at its beginning. */
  readonly watermark?: Watermark;
  /** Whether recorded stamps are read too; default: they are not. */
  readonly hasRecords?: boolean;
}

/** Neighbouring messages of a walk, oldest first. */
export interface WalkChunk {
  readonly rows: readonly ListRow[];
  /** Messages in the list when these were read. */
  readonly depth: number;
  /** Place of the last message of the walk, as far as is known. */
  readonly end: number;
  /** Whether the messages before these have left the list, so that the walk went on at the oldest message. */
  readonly movedOn: boolean;
}

/** Bounds of a read by the script: well below a millisecond of Redis for messages of 400 bytes. */
const LOOK_BOUNDS: ReadBounds = { messages: 200, bytes: 102_400 };
/** Default bounds of a walk's reads. Only an LRANGE takes so many. */
const WALK_BOUNDS: ReadBounds = { messages: 500, bytes: 256_000 };
/** A walk over more messages than this gets a connection of its own. */
const RANGES_FROM = 5_000;
const PAGE_BYTES = 1_048_576;
/** Reads of a search towards older messages, where pops move a message, and then towards newer ones. */
const READS_DOWN = 20, READS_UP = 5;
/** Most searches of the whole range while messages come back between its reads. */
const MOST_SWEEPS = 5;
/** Messages of the first LRANGE while no size is known, and when the last messages were small. */
const FIRST_AT_ONCE = 32, MOST_AT_ONCE = 128, SMALL_BYTES = 4_096;

/** One message of a list, at its place when it was read. */
export class ListRow {
  /** From 1 at the oldest. */
  readonly place: number;
  /** `null` if the message is larger than the limit. */
  readonly bytes: Buffer | null;
  /** Size in bytes. */
  readonly length: number;
  /** Its recorded stamp; `null` if it has none; `undefined` if the source stamps inside the messages, or nobody asked for it. */
  recorded: RecordedStamp | null | undefined;
  /** Digest of the two ends of a message that is too large. */
  readonly #sample: string;
  #id = "";

  constructor(place: number, found: Buffer | readonly [length: number, sample: string]) {
    this.place = place;
    const isRead = !Array.isArray(found);
    this.bytes = isRead ? found as Buffer : null;
    this.length = isRead ? found.length : found[0] as number;
    this.#sample = isRead ? "" : found[1] as string;
  }

  /** Id of the message (`messageId`). That of a message too large to read is made from its two ends. */
  get id(): string {
    return this.#id ||= this.bytes === null ? idOfDigest(this.#sample) : messageId(this.bytes);
  }

  /** Whether it is these bytes. */
  isOf(message: Buffer): boolean {
    return this.bytes?.equals(message) ?? false;
  }

  /** Whether both are the same bytes. */
  equals(other: ListRow): boolean {
    if (this.length !== other.length) return false;
    return this.bytes !== null && other.bytes !== null
      ? this.bytes.equals(other.bytes)
      : this.#sample === other.#sample;
  }
}

/** Formats a cursor as text. */
export function formatCursor({ place, id }: Cursor): string {
  return `${place}.${id}`;
}

/** Parses the text of a cursor; `null` if it is not a cursor. */
export function parseCursor(text: string): Cursor | null {
  const [, place, id] = /^([1-9]\d{0,14})\.(m_[0-9a-f]{16})$/.exec(text) ?? [];
  return place === undefined || id === undefined ? null : { place: Number(place), id };
}

/** A read of neighbouring messages. `place`: the first one; 0: the newest. */
interface ListRead extends ReadBounds {
  readonly place: number;
  readonly direction: Direction;
  /** Messages to read whatever their size; default: 1. */
  readonly least?: number;
  readonly atOnce?: number;
}

/** One of the messages seen, and its place now. */
interface SeenMatch {
  readonly place: number;
  readonly anchor: ListRow;
}

interface Rows {
  readonly depth: number;
  readonly rows: readonly ListRow[];
}

/** Messages behind those seen. `shift`: so much smaller their places are now; with `movedOn`, not known (0). */
interface RowsBehind extends Rows {
  readonly shift: number;
  readonly movedOn: boolean;
}

/** How a walk reads. */
interface WalkRead {
  readonly bounds: ReadBounds;
  readonly signal: AbortSignal | undefined;
  /** `null`: by the script only. */
  readonly ranges: RangeReader | null;
}

/** Reads the lists of one source. Changes nothing. Calls reject with a `StoreError`. Any number may run at a time. */
export class ListReader {
  readonly #policy: SourcePolicy;
  readonly #maxMessageBytes: number;
  readonly #openForWalk: (() => WalkConnection) | null;
  readonly #rangesFrom: number;
  readonly #script: Script;
  readonly #records: ReadRecords | null;

  constructor(
    reader: RedisClient,
    policy: SourcePolicy,
    { maxMessageBytes, openForWalk, rangesFrom = RANGES_FROM, isReadOnly = false }: ListReaderOptions,
  ) {
    this.#policy = policy;
    this.#maxMessageBytes = maxMessageBytes;
    this.#openForWalk = openForWalk ?? null;
    this.#rangesFrom = rangesFrom;
    const load = isReadOnly ? loadReadOnlyScript : loadScript;
    this.#script = load(reader, { name: "readList", keys: 2, lua: readList, push: policy.push });
    this.#records = createRecordReader(reader, policy);
  }

  /** Returns the number of messages. */
  async depth(list: ListName): Promise<number> {
    return (await this.#read(list, { place: 1, direction: "newer", messages: 0, bytes: 0 })).depth;
  }

  /** Reads a page in bounded reads. A page is shorter than `size` only at the end of the list or at the limit of its bytes. */
  async page(list: ListName, { from, direction, size, bytes = PAGE_BYTES }: PageRequest): Promise<Page> {
    const first = from === "oldest" ? 1 : from === "newest" ? 0 : from;
    const rows: ListRow[] = [];
    let depth = 0, held = 0, cursor: Cursor | null = null;
    while (rows.length < size && held < bytes) {
      const messages = Math.min(LOOK_BOUNDS.messages, size - rows.length);
      const bounds = { messages, bytes: Math.min(LOOK_BOUNDS.bytes, bytes - held) };
      const behind: Cursor | number = cursor ?? first;
      const found: Rows | null = typeof behind === "number"
        ? await this.#read(list, { place: behind, direction, ...bounds })
        : await this.#readBehind(list, behind, { direction, ...bounds });
      if (found === null) {
        if (rows.length > 0) break;
        return { depth: await this.depth(list), movedOn: true, rows, newer: null, older: null };
      }
      depth = found.depth;
      rows.push(...found.rows);
      held += found.rows.reduce((sum, row) => sum + (row.bytes?.length ?? 0), 0);
      const last = found.rows.at(-1);
      if (last === undefined || last.place === (direction === "newer" ? depth : 1)) break;
      cursor = { place: last.place, id: last.id };
    }
    await this.#addRecords(list, rows);
    return { depth, movedOn: false, rows, ...cursorsAround(rows, { direction, depth }) };
  }

  /** Finds a message near a place, or without `near` anywhere in the list. Of equal messages it returns the nearest one. */
  async find(
    list: ListName,
    id: string,
    { near, signal }: { near?: number; signal?: AbortSignal } = {},
  ): Promise<ListRow | null> {
    const found = near === undefined
      ? await this.#findAnywhere(list, id, signal)
      : await this.#findNear(list, { near, isWanted: (row) => row.id === id });
    if (found) await this.#addRecords(list, [found]);
    return found;
  }

  async #findAnywhere(list: ListName, id: string, signal: AbortSignal | undefined): Promise<ListRow | null> {
    for await (const { rows } of this.walk(list, signal ? { signal } : {})) {
      const found = rows.find((row) => row.id === id);
      if (found) return found;
    }
    return null;
  }

  /** Adds the recorded stamps to rows of the DLQ. Of dead messages the stamps are inside. */
  async #addRecords(list: ListName, rows: readonly ListRow[]): Promise<void> {
    if (this.#records === null || list !== "dlq" || rows.length === 0) return;
    const records = await this.#records(rows.map(({ bytes }) => bytes));
    for (const row of rows) row.recorded = row.bytes && (records.get(recordKey(row.bytes, this.#policy)) ?? null);
  }

  /** Returns the places near a message at which its bytes are, ascending. Messages between the two reads may move. */
  async placesNear(list: ListName, { place, id }: Cursor): Promise<readonly number[]> {
    const [older, newer] = await Promise.all([
      this.#read(list, { place, direction: "older", ...LOOK_BOUNDS }),
      this.#read(list, { place: place + 1, direction: "newer", ...LOOK_BOUNDS }),
    ]);
    return [...older.rows.toReversed(), ...newer.rows].filter((row) => row.id === id).map((row) => row.place);
  }

  /** Reads neighbouring messages from a place on, oldest first, without knowing what is there. For samples of a long list. */
  async peek(list: ListName, { place, bounds }: { place: number; bounds: ReadBounds }): Promise<readonly ListRow[]> {
    const { rows } = await this.#read(list, { place, direction: "newer", ...bounds });
    await this.#addRecords(list, rows);
    return rows;
  }

  /**
   * Walks from the oldest message to the newest, in bounded reads. The next read is under way while the caller handles a chunk.
   * Pushes, pops and our own moves in between neither skip a message that stays nor repeat one; only of more than 200 byte-equal
   * messages in a row, some may be skipped after a pop.
   */
  async *walk(
    list: ListName,
    { bounds = WALK_BOUNDS, signal, watermark, hasRecords = false }: WalkOptions = {},
  ): AsyncGenerator<WalkChunk> {
    let end = await this.#findEnd(list, watermark);
    const ranges = end > this.#rangesFrom ? this.#openRanges(list) : null;
    try {
      let isFirst = true, reading = this.#readOn(list, [], { bounds, signal, ranges });
      while (!signal?.aborted) {
        const { rows, depth, shift, movedOn } = await reading;
        // All that was seen has left, and others may have come back: where the end is now is not known from before.
        if (movedOn) end = watermark ? await this.#findEnd(list, watermark) : depth;
        // Messages may have come back since the end was found.
        else end = isFirst && !watermark ? depth : end - shift;
        isFirst = false;
        const isLast = rows.length === 0 || rows.at(-1)!.place >= end;
        const within = isLast ? rows.filter(({ place }) => place <= end) : rows;
        if (within.length === 0) return;
        if (!isLast) {
          reading = this.#readOn(list, within, { bounds, signal, ranges });
          // The caller may end the walk before this read is awaited.
          reading.catch(() => {});
        }
        if (hasRecords) await this.#addRecords(list, within);
        yield { rows: within, depth, end, movedOn };
        if (isLast) return;
      }
    } finally {
      ranges?.release();
    }
  }

  #openRanges(list: ListName): RangeReader | null {
    if (this.#openForWalk === null) return null;
    const { dlq, push, [list]: key } = this.#policy, maxMessageBytes = this.#maxMessageBytes;
    return new RangeReader(this.#openForWalk(), {
      ...{ list: key, push, shelf: shelfKey(dlq), hasShelf: list === "dlq", maxMessageBytes },
    });
  }

  /** Place of the last message of a walk. */
  async #findEnd(list: ListName, watermark?: Watermark): Promise<number> {
    const depth = await this.depth(list);
    return watermark ? await this.findWatermark(list, watermark) ?? Math.min(depth, watermark.depth) : depth;
  }

  /** Returns the place of the message that was the newest; `null`: it is no longer near its place. */
  async findWatermark(list: ListName, { depth, newestDigest }: Watermark): Promise<number | null> {
    const near = Math.min(await this.depth(list), depth), id = idOfDigest(newestDigest);
    return (await this.#findNear(list, { near, isWanted: (row) => row.id === id }))?.place ?? null;
  }

  /** Reads behind the last of the messages seen so far; from the oldest on if there are none, or if all have left the list. */
  async #readOn(list: ListName, seen: readonly ListRow[], { bounds, signal, ranges }: WalkRead): Promise<RowsBehind> {
    const last = seen.at(-1), range = last && await ranges?.read(last.place, bounds) || null;
    if (last && range?.messages[0] && last.isOf(range.messages[0])) {
      const rows = range.messages.slice(1).map((message, i) => new ListRow(last.place + 1 + i, message));
      return { depth: range.depth, rows, shift: 0, movedOn: false };
    }
    const messages = Math.min(bounds.messages, LOOK_BOUNDS.messages), bytes = Math.min(bounds.bytes, LOOK_BOUNDS.bytes);
    const found = await this.#readOnByScript(list, seen, { bounds: { messages, bytes }, signal });
    await ranges?.look(found.rows, bounds.messages);
    return found;
  }

  async #readOnByScript(
    list: ListName,
    seen: readonly ListRow[],
    { bounds, signal }: Pick<WalkRead, "bounds" | "signal">,
  ): Promise<RowsBehind> {
    const last = seen.at(-1);
    if (!last) {
      return { ...await this.#read(list, { place: 1, direction: "newer", ...bounds }), shift: 0, movedOn: false };
    }
    const atOnce = seen.every(({ length }) => length <= SMALL_BYTES) ? MOST_AT_ONCE : FIRST_AT_ONCE;
    const within = { messages: bounds.messages + 1, bytes: bounds.bytes + last.length, least: 2, atOnce };
    let place = last.place, anchor = last;
    for (;;) {
      const { depth, rows } = await this.#read(list, { place, direction: "newer", ...within });
      if (rows[0]?.equals(anchor)) return { depth, rows: rows.slice(1), shift: last.place - place, movedOn: false };
      const match = await this.#findSeen(list, seen, { near: place, signal });
      if (match === null) {
        const found = await this.#read(list, { place: 1, direction: "newer", ...bounds });
        return { ...found, shift: 0, movedOn: true };
      }
      ({ place, anchor } = match);
    }
  }

  /** Finds the newest of the messages seen that is still in the list; `null` if all of them have left it. */
  async #findSeen(
    list: ListName,
    seen: readonly ListRow[],
    { near, signal }: { near: number; signal: AbortSignal | undefined },
  ): Promise<SeenMatch | null> {
    for await (const rows of this.#searchAround(list, { near, isWhole: true })) {
      const match = lastSeenIn(rows, seen);
      if (match) return await this.#climb(list, seen, match);
      if (signal?.aborted) return null;
    }
    return null;
  }

  /** After messages came back to the oldest end, newer ones of those seen may be further up. */
  async #climb(list: ListName, seen: readonly ListRow[], match: SeenMatch): Promise<SeenMatch> {
    for (;;) {
      const newer = seen.slice(seen.indexOf(match.anchor) + 1);
      if (newer.length === 0) return match;
      const { rows } = await this.#read(list, { place: match.place + 1, direction: "newer", ...LOOK_BOUNDS });
      const next = lastSeenIn(rows, newer);
      if (next === null) return match;
      match = next;
    }
  }

  /** Reads behind a cursor, in the direction; `null` if its message is not near its place any more. */
  async #readBehind(
    list: ListName,
    { place: near, id }: Cursor,
    { messages, bytes, direction }: ReadBounds & { direction: Direction },
  ): Promise<Rows | null> {
    for (let place = near;;) {
      const { depth, rows } = await this.#read(list, { place, direction, messages: messages + 1, bytes, least: 2 });
      if (rows[0]?.id === id) return { depth, rows: rows.slice(1) };
      const found = await this.#findNear(list, { near: place, isWanted: (row) => row.id === id });
      if (found === null) return null;
      place = found.place;
    }
  }

  async #findNear(
    list: ListName,
    { near, isWanted }: { near: number; isWanted: (row: ListRow) => boolean },
  ): Promise<ListRow | null> {
    for await (const rows of this.#searchAround(list, { near, isWhole: false })) {
      const found = rows.find(isWanted);
      if (found) return found;
    }
    return null;
  }

  /**
   * Reads from a place towards older messages, then towards newer ones. In between, pops may move a message from the newer ones to
   * the older ones; with `isWhole`, all of them are then read in one direction.
   */
  async *#searchAround(
    list: ListName,
    { near, isWhole }: { near: number; isWhole: boolean },
  ): AsyncGenerator<readonly ListRow[]> {
    const read = async (place: number, direction: Direction) =>
      (await this.#read(list, { place, direction, ...LOOK_BOUNDS })).rows;
    for (let reads = 0, lowest = near; reads < READS_DOWN && lowest >= 1; reads++) {
      const rows = await read(lowest, "older");
      yield rows;
      lowest = (rows.at(-1)?.place ?? 1) - 1;
    }
    let highest = near, isAtEnd = false;
    for (let reads = 0; reads < READS_UP && !isAtEnd; reads++) {
      const rows = await read(highest + 1, "newer");
      yield rows;
      isAtEnd = rows.length === 0;
      highest = rows.at(-1)?.place ?? highest;
    }
    if (isWhole) yield* this.#sweep(list, isAtEnd ? 0 : highest);
  }

  /**
   * Reads from a place (0: the newest) to the oldest message. Pops move a message the same way, so none is missed. Messages that
   * come back move it the other way: then it begins again.
   */
  async *#sweep(list: ListName, from: number): AsyncGenerator<readonly ListRow[]> {
    for (let sweeps = 0; sweeps < MOST_SWEEPS; sweeps++) {
      let place = from, above: readonly ListRow[] | null = null;
      do {
        const { rows } = await this.#read(list, { place, direction: "older", ...LOOK_BOUNDS, least: 2 });
        yield rows;
        const [first] = rows;
        if (!first) return;
        // Read again: the last one of the read before, or after pops a newer one of it.
        if (above !== null && !above.some((row) => row.equals(first))) break;
        above = rows;
        place = rows.at(-1)!.place;
      } while (place > 1);
      if (place <= 1) return;
    }
  }

  async #read(
    list: ListName,
    { place, direction, messages, bytes, least = 1, atOnce = FIRST_AT_ONCE }: ListRead,
  ): Promise<Rows> {
    const step = direction === "newer" ? 1 : -1;
    const reply = await this.#script(
      ...[this.#policy[list], shelfKey(this.#policy.dlq), list === "dlq" ? 1 : 0, place, step],
      ...[messages, least, bytes, this.#maxMessageBytes, SAMPLE_BYTES, atOnce],
    );
    if (!Array.isArray(reply)) throw unknownAnswer(reply);
    const [depth, first, found] = reply as [number, number, (Buffer | [number, Buffer])[]];
    return {
      depth,
      rows: found.map((one, i) => new ListRow(first + i * step, Array.isArray(one) ? [one[0], String(one[1])] : one)),
    };
  }
}

/** Finds the newest of the messages seen in a read. Of equal messages, it takes the one with the most of its predecessors before it. */
function lastSeenIn(rows: readonly ListRow[], seen: readonly ListRow[]): SeenMatch | null {
  const oldestFirst = rows.toSorted((a, b) => a.place - b.place);
  for (const [index, anchor] of [...seen.entries()].reverse()) {
    let best: ListRow | null = null, most = -1;
    for (const [at, row] of [...oldestFirst.entries()].reverse()) {
      if (!row.equals(anchor)) continue;
      let before = 0;
      while (before < at && before < index && oldestFirst[at - before - 1]!.equals(seen[index - before - 1]!)) before++;
      if (before > most) [best, most] = [row, before];
    }
    if (best) return { place: best.place, anchor };
  }
  return null;
}

function cursorsAround(
  rows: readonly ListRow[],
  { direction, depth }: { direction: Direction; depth: number },
): Pick<Page, "newer" | "older"> {
  const [oldest, newest] = direction === "newer" ? [rows[0], rows.at(-1)] : [rows.at(-1), rows[0]];
  const toCursor = ({ place, id }: ListRow) => ({ place, id });
  return {
    newer: newest && newest.place < depth ? toCursor(newest) : null,
    older: oldest && oldest.place > 1 ? toCursor(oldest) : null,
  };
}
