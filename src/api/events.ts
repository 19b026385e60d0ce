/**
 * Server-sent events: what changes, for any number of clients. Three details:
 *
 * - The feeds are read once a second however many clients listen, and not at all while there are none. Each event is
 *   encoded once.
 * - An event has the whole state of one thing (`source`, `job`, …), so a client that missed some catches up with the next.
 *   `Last-Event-ID` continues from the last few hundred events; otherwise all current states are sent.
 * - A client that does not read is disconnected instead of being waited for.
 */
import { PeriodicTask, type RunResult } from "../lifecycle/periodic_task.ts";
import type { Clock } from "../runtime/clock.ts";
import { createId } from "../runtime/random.ts";
import { encodeEvent, EventStream } from "./event_stream.ts";

/** Something to follow. */
export interface EventFeed {
  /** The event's name. */
  readonly name: string;
  /** Returns the current states by key. After a rejection the last ones stay. Must end in bounded time. */
  read(): Promise<ReadonlyMap<string, unknown>> | ReadonlyMap<string, unknown>;
  /**
   * Whether entries are facts, not states: each is sent once, and its disappearance is not an event. If a read has none of
   * the entries before, some may have been missed, and clients begin anew. Default: false.
   */
  readonly isJournal?: boolean;
}

/** Dependencies of {@link EventHub}. */
export interface EventHubOptions {
  readonly clock: Clock;
  readonly feeds: readonly EventFeed[];
  /** Maximum number of clients. */
  readonly mostClients: number;
  /** Called when the number of clients changes. */
  readonly onClients: (count: number) => void;
  /** Called with the error of a feed. */
  readonly onFeedFailure: (feed: string, error: unknown) => void;
}

/** Time between two reads of the feeds, in milliseconds. */
const EVERY_MS = 1_000;
/** A comment is sent after this time without an event, in milliseconds: proxies and the door cut silent connections. */
const HEARTBEAT_MS = 10_000;
/** How many events can be resumed, and their size. */
const KEPT_EVENTS = 500, KEPT_BYTES = 1_048_576;
/** How much a client may leave unread, in bytes. */
const UNREAD_BYTES = 262_144;

const HEARTBEAT = new TextEncoder().encode(": still here\n\n");

interface SentEvent {
  readonly number: number;
  readonly bytes: Uint8Array;
}

/** Reads the feeds while there are clients. */
export class EventHub extends PeriodicTask {
  readonly #options: EventHubOptions;
  readonly #streams = new Set<EventStream>();
  /** Last state of each thing, as it was sent: feed, key, JSON. */
  readonly #states = new Map<string, { readonly feed: string; readonly key: string; readonly json: string }>();
  /** Event numbers of another process mean nothing here. */
  readonly #epoch = createId().slice(0, 8);
  #kept: SentEvent[] = [];
  #keptBytes = 0;
  #number = 0;
  #sentAtMs = -Infinity;
  /** The read for the first clients, which share it. */
  #firstRead: Promise<unknown> | null = null;
  #isStopped = false;

  constructor(options: EventHubOptions) {
    super({ clock: options.clock, firstRun: "after_interval" });
    this.#options = options;
  }

  /** Number of clients. */
  get clients(): number {
    return this.#streams.size;
  }

  /**
   * Creates the stream of a client; `null` if there are too many. `isValid` is asked once a second; the stream ends when
   * it is false. `signal`: aborted when the client has gone.
   */
  async follow(
    { lastEventId, isValid, signal }: { lastEventId: string | null; isValid: () => boolean; signal: AbortSignal },
  ): Promise<ReadableStream<Uint8Array> | null> {
    if (this.#isFull()) return null;
    if (this.#streams.size === 0) await (this.#firstRead ??= this.#readFeeds().finally(() => this.#firstRead = null));
    if (this.#isFull() || signal.aborted) return null;
    this.start();
    const stream = new EventStream({ unreadBytes: UNREAD_BYTES, isValid, signal, onEnd: (ended) => this.#drop(ended) });
    this.#streams.add(stream);
    this.#options.onClients(this.#streams.size);
    stream.begin(this.#beginning(lastEventId));
    return stream.body;
  }

  #isFull(): boolean {
    return this.#isStopped || this.#streams.size >= this.#options.mostClients;
  }

  /** Ends every stream. */
  override async stop(): Promise<void> {
    this.#isStopped = true;
    for (const stream of [...this.#streams]) stream.end();
    await super.stop();
  }

  protected intervalMs(): number {
    return EVERY_MS;
  }

  protected async run(): Promise<RunResult | void> {
    if (this.#streams.size === 0) return "skipped";
    const events = await this.#readFeeds();
    const nowMs = this.#options.clock.monotonicMs();
    if (events.length === 0 && nowMs - this.#sentAtMs >= HEARTBEAT_MS) events.push(HEARTBEAT);
    if (events.length > 0) this.#sentAtMs = nowMs;
    for (const stream of [...this.#streams]) stream.send(events);
  }

  async #readFeeds(): Promise<Uint8Array[]> {
    const events: Uint8Array[] = [];
    for (const feed of this.#options.feeds) {
      try {
        for (const bytes of this.#compare(feed, await feed.read())) events.push(bytes);
      } catch (error) {
        this.#options.onFeedFailure(feed.name, error);
      }
    }
    return events;
  }

  #compare({ name, isJournal = false }: EventFeed, current: ReadonlyMap<string, unknown>): Uint8Array[] {
    const events: Uint8Array[] = [];
    const known = [...this.#states.values()].filter(({ feed }) => feed === name);
    // Entries may have been missed: a client must not resume across the gap.
    if (isJournal && known.length > 0 && !known.some(({ key }) => current.has(key))) this.#forget();
    for (const [key, value] of current) {
      const json = JSON.stringify({ key, value }), id = `${name} ${key}`;
      if (this.#states.get(id)?.json === json) continue;
      this.#states.set(id, { feed: name, key, json });
      events.push(this.#keep(name, json));
    }
    for (const [id, { feed, key }] of this.#states) {
      if (feed !== name || current.has(key)) continue;
      this.#states.delete(id);
      if (!isJournal) events.push(this.#keep(name, JSON.stringify({ key, value: null })));
    }
    return events;
  }

  #forget(): void {
    this.#kept = [];
    this.#keptBytes = 0;
    this.#number++;
  }

  #keep(name: string, json: string): Uint8Array {
    const event = { number: ++this.#number, bytes: this.#encode(name, json, this.#number) };
    this.#kept.push(event);
    this.#keptBytes += event.bytes.length;
    while (this.#kept.length > KEPT_EVENTS || this.#keptBytes > KEPT_BYTES) {
      this.#keptBytes -= this.#kept.shift()!.bytes.length;
    }
    return event.bytes;
  }

  #encode(name: string, json: string, number: number): Uint8Array {
    return encodeEvent(name, { data: json, id: `${this.#epoch}-${number}` });
  }

  /** What a new client gets first: the events that it missed, or every current state. */
  #beginning(lastEventId: string | null): Uint8Array[] {
    const [epoch, number] = lastEventId?.split("-") ?? [];
    const last = epoch === this.#epoch && /^\d{1,15}$/.test(number ?? "") ? Number(number) : -1;
    const first = this.#kept[0]?.number ?? this.#number + 1;
    if (last >= first - 1 && last <= this.#number) {
      return [HEARTBEAT, ...this.#kept.filter((event) => event.number > last).map(({ bytes }) => bytes)];
    }
    return [
      this.#encode("reset", "{}", this.#number),
      ...[...this.#states.values()].map(({ feed, json }) => this.#encode(feed, json, this.#number)),
    ];
  }

  #drop(stream: EventStream): void {
    if (this.#streams.delete(stream)) this.#options.onClients(this.#streams.size);
  }
}
