/**
 * Keeps open pages up to date by server-sent events. Three details:
 *
 * - A page is rendered once a second for all who look at the same address with the same role, and not at all while nobody does.
 * - Only parts whose markup has changed are sent. A new watcher gets all parts, so nothing is missed between the page and the
 *   stream.
 * - A watcher that does not read is disconnected. A page that cannot be read keeps its last parts, and no `beat` is sent: the
 *   browser then says since when it is stale. A page that exists no more is `moved`: the browser asks for it again, and is told.
 *
 * Tested in tests/unit/console/live_test.ts.
 */
import { PeriodicTask, type RunResult } from "../lifecycle/periodic_task.ts";
import type { Clock } from "../runtime/clock.ts";

/** Time between two renderings, in milliseconds. */
const EVERY_MS = 1_000;
/**
 * The next rendering waits for this multiple of the time that the last one took, in all at most {@link LONGEST_MS}: many different
 * pages must not take the time of the replay.
 */
const REST = 4, LONGEST_MS = 5_000;
/** Time between two signs of life without a change, in milliseconds. The browser calls a page stale after 8 s. */
const BEAT_MS = 3_000;
/** How much a watcher may leave unread, in bytes. */
const UNREAD_BYTES = 1_048_576;
/** Pages that are rendered for watchers at the same time. */
const MOST_PAGES = 200;

/** What is watched. */
export interface Watched {
  /** Of everything that the markup depends on: address and role. */
  readonly key: string;
  /** Renders the live parts. */
  readonly render: () => Promise<ReadonlyMap<string, string>>;
}

/** Dependencies of {@link LiveHub}. */
export interface LiveHubOptions {
  readonly clock: Clock;
  /** Called with the error of a page that could not be rendered. */
  readonly onFailure: (key: string, error: unknown) => void;
  /** Whether an error says that the page exists no more. */
  readonly isGone: (error: unknown) => boolean;
}

/** Who watches. */
export interface Viewer {
  /** Asked once a second; the stream ends when it is false. */
  readonly isValid: () => boolean;
  /** Aborted when the browser has gone. */
  readonly signal: AbortSignal;
}

interface Watcher {
  readonly controller: ReadableStreamDefaultController<Uint8Array>;
  readonly isValid: () => boolean;
}

interface WatchedPage {
  readonly render: Watched["render"];
  readonly watchers: Set<Watcher>;
  /** `null`: the last rendering failed, so that nobody may be told that they are what is. */
  sections: ReadonlyMap<string, string> | null;
  sentAtMs: number;
}

const encoder = new TextEncoder();

/** Renders the pages that somebody looks at. */
export class LiveHub extends PeriodicTask {
  readonly #options: LiveHubOptions;
  readonly #pages = new Map<string, WatchedPage>();
  #isStopped = false;
  /** Of the last rendering of all pages. */
  #tookMs = 0;

  constructor(options: LiveHubOptions) {
    super({ clock: options.clock, firstRun: "after_interval" });
    this.#options = options;
  }

  /** Number of watchers. */
  get watchers(): number {
    return [...this.#pages.values()].reduce((sum, { watchers }) => sum + watchers.size, 0);
  }

  /**
   * Creates the stream of a watcher, which begins with all parts; `null` if too many pages are watched, or the browser has gone.
   * Rejects if the first rendering fails.
   */
  async watch({ key, render }: Watched, { isValid, signal }: Viewer): Promise<ReadableStream<Uint8Array> | null> {
    const sections = this.#pages.get(key)?.sections ?? await render();
    if (this.#isStopped || signal.aborted) return null;
    const page = this.#pages.get(key) ?? { render, sections, watchers: new Set<Watcher>(), sentAtMs: 0 };
    if (!this.#pages.has(key) && this.#pages.size >= MOST_PAGES) return null;
    this.#pages.set(key, page);
    this.start();
    let watcher: Watcher;
    return new ReadableStream<Uint8Array>({
      start: (controller) => {
        watcher = { controller, isValid };
        page.watchers.add(watcher);
        signal.addEventListener("abort", () => this.#drop(watcher), { once: true });
        controller.enqueue(encodeSections(sections));
      },
      cancel: () => this.#drop(watcher),
    }, new ByteLengthQueuingStrategy({ highWaterMark: UNREAD_BYTES }));
  }

  /** Ends every stream. */
  override async stop(): Promise<void> {
    this.#isStopped = true;
    for (const { watchers } of [...this.#pages.values()]) {
      for (const watcher of [...watchers]) this.#end(watcher);
    }
    await super.stop();
  }

  protected intervalMs(): number {
    return Math.min(LONGEST_MS, Math.max(EVERY_MS, REST * this.#tookMs));
  }

  protected async run(): Promise<RunResult | void> {
    this.#tookMs = 0;
    if (this.#pages.size === 0) return "skipped";
    const { clock } = this.#options, beganMs = clock.monotonicMs();
    await Promise.all([...this.#pages].map(([key, page]) => this.#update(key, page)));
    this.#tookMs = clock.monotonicMs() - beganMs;
  }

  async #update(key: string, page: WatchedPage): Promise<void> {
    for (const watcher of [...page.watchers]) {
      if (!watcher.isValid()) this.#end(watcher);
    }
    if (page.watchers.size === 0) return;
    const nowMs = this.#options.clock.monotonicMs();
    try {
      const sections = await page.render();
      const changed = new Map([...sections].filter(([id, html]) => page.sections?.get(id) !== html));
      page.sections = sections;
      if (changed.size === 0 && nowMs - page.sentAtMs < BEAT_MS) return;
      page.sentAtMs = nowMs;
      const bytes = changed.size > 0 ? encodeSections(changed) : encodeEvent("beat", "{}");
      for (const watcher of [...page.watchers]) this.#send(watcher, bytes);
    } catch (error) {
      page.sections = null;
      this.#options.onFailure(key, error);
      if (this.#options.isGone(error)) this.#move(page);
    }
  }

  #move({ watchers }: WatchedPage): void {
    for (const watcher of [...watchers]) {
      this.#send(watcher, encodeEvent("moved", "{}"));
      this.#end(watcher);
    }
  }

  #send(watcher: Watcher, bytes: Uint8Array): void {
    if ((watcher.controller.desiredSize ?? 0) < bytes.length) return this.#end(watcher);
    watcher.controller.enqueue(bytes);
  }

  #end(watcher: Watcher): void {
    this.#drop(watcher);
    try {
      watcher.controller.close();
    } catch {
      // The browser has gone.
    }
  }

  #drop(watcher: Watcher): void {
    for (const [key, { watchers }] of this.#pages) {
      if (watchers.delete(watcher) && watchers.size === 0) this.#pages.delete(key);
    }
  }
}

function encodeSections(sections: ReadonlyMap<string, string>): Uint8Array {
  return encodeEvent("sections", JSON.stringify(Object.fromEntries(sections)));
}

function encodeEvent(name: string, data: string): Uint8Array {
  return encoder.encode(`event: ${name}\ndata: ${data}\n\n`);
}
