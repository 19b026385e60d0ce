/**
 * Reads the neighbours of a message with LRANGE, which costs Redis a tenth of what a script does per message (bench/figures.md).
 * Whatever it is not sure of, it leaves to the script of `list_reader.ts`: messages that may be large, the border of the shelf,
 * a list that has changed, and every failure.
 */
import type { Buffer } from "node:buffer";
import type { Redis } from "ioredis";
import type { Push } from "../message/source_policy.ts";
import { inOneWrite } from "./bulk_command.ts";
import { endsOf } from "./list_ends.ts";
import { ReadMode } from "./read_mode.ts";
import { ReplyLimit } from "./reply_limit.ts";
import { type BulkScript, loadBulkScript } from "./scripts.ts";
import lookAtSizes from "./scripts/look_at_sizes.lua" with { type: "text" };

/** A connection for one walk: a reply that is too long cuts it. */
export interface WalkConnection {
  readonly redis: Redis;
  readonly release: () => void;
}

/** Distance between samples of sizes: finding a place deep in a long list takes as long as reading 500 messages. */
const STEP = 128;
/** A larger message is left to the script. */
const SMALL_BYTES = 65_536;
/** The connection is cut when a reply is longer. */
const MOST_REPLY_BYTES = 8 * 1_048_576;

/** Neighbours, oldest first. */
export interface FoundRange {
  readonly depth: number;
  readonly messages: readonly Buffer[];
}

/** Reads for one walk, one read at a time. */
export class RangeReader {
  readonly #connection: WalkConnection;
  readonly #keys: readonly [list: string, shelf: string];
  readonly #push: Push;
  readonly #hasShelf: boolean;
  readonly #mostBytes: number;
  readonly #look: BulkScript;
  readonly #limit: ReplyLimit;
  readonly #mode = new ReadMode({ step: STEP });
  /** Shelved messages at the last look; `null`: not known. */
  #shelved: number | null = null;

  /** `push`: how the source's lists are pushed. `maxMessageBytes`: a larger message is left to the script. */
  constructor(
    connection: WalkConnection,
    { list, push, shelf, hasShelf, maxMessageBytes }: {
      list: string;
      push: Push;
      shelf: string;
      hasShelf: boolean;
      maxMessageBytes: number;
    },
  ) {
    this.#connection = connection;
    this.#keys = [list, shelf];
    this.#push = push;
    this.#hasShelf = hasShelf;
    this.#mostBytes = Math.min(SMALL_BYTES, maxMessageBytes);
    this.#look = loadBulkScript(connection.redis, { keys: 2, lua: lookAtSizes, push });
    this.#limit = new ReplyLimit(connection.redis);
  }

  /** Looks at the sizes behind messages that the script has read, so that the next ones may be a range. Never rejects. */
  async look(read: readonly { readonly place: number; readonly length: number }[], most: number): Promise<void> {
    this.#shelved = null;
    this.#mode.forget();
    const last = read.at(-1);
    if (!this.#isReady() || last === undefined || read.some(({ length }) => length > this.#mostBytes)) return;
    try {
      const { shelved, longestAhead } = await this.#lookFrom(last.place + 1, most);
      this.#shelved = shelved;
      this.#mode.note({
        messages: read.length,
        bytes: read.reduce((sum, { length }) => sum + length, 0),
        longestAhead,
      });
    } catch {
      this.#mode.cutOff();
    }
  }

  /**
   * Reads from `place` on, towards newer messages, the first one beyond the bounds. `null`: read them by the script, and call
   * {@link look}. Never rejects.
   */
  async read(place: number, bounds: { readonly messages: number; readonly bytes: number }): Promise<FoundRange | null> {
    const shelved = this.#shelved, { range } = this.#mode.plan(bounds);
    if (shelved === null || range === 0 || place === shelved || !this.#isReady()) return null;
    const isShelved = place < shelved, [list, shelf] = this.#keys, key = isShelved ? shelf : list;
    const ends = endsOf(key, this.#push);
    const from = isShelved ? place : place - shelved, to = isShelved ? Math.min(shelved, place + range) : from + range;
    this.#limit.set(MOST_REPLY_BYTES);
    try {
      const { redis } = this.#connection;
      const [found, now] = await inOneWrite(redis, () =>
        Promise.all([
          redis.lrangeBuffer(key, ...ends.range(from, to)),
          this.#lookFrom(place + to - from + 1, bounds.messages),
        ]));
      const messages = ends.oldestFirst(found);
      if (now.shelved !== shelved || messages.some(({ length }) => length > this.#mostBytes)) return null;
      const bytes = messages.reduce((sum, { length }) => sum + length, 0);
      this.#mode.note({ messages: messages.length, bytes, longestAhead: now.longestAhead });
      return { depth: now.depth, messages };
    } catch {
      this.#mode.cutOff();
      return null;
    } finally {
      this.#limit.lift();
    }
  }

  /** Closes the connection. */
  release(): void {
    this.#connection.release();
  }

  async #lookFrom(place: number, most: number): Promise<{ shelved: number; depth: number; longestAhead: number }> {
    const keysAndArguments = [...this.#keys, this.#hasShelf ? 1 : 0, place, STEP, Math.ceil(most / STEP)];
    const [shelved, depth, longestAhead] = await this.#look({ keysAndArguments }) as [number, number, number];
    return { shelved, depth, longestAhead };
  }

  #isReady(): boolean {
    return this.#connection.redis.status === "ready";
  }
}
