/**
 * Keeps open pages up to date by server-sent events. Three details:
 *
 * - Each page (address and role) that is open in a browser is rendered once a second, however many browsers show it.
 * - Only parts whose markup has changed are sent. A new watcher gets all parts, so nothing is missed between the page and the
 *   stream.
 * - A watcher that does not read is disconnected. A page that cannot be read keeps its last parts, and no `beat` is sent: the
 *   browser then says since when it is stale. A page that no longer exists sends `moved`: the browser loads the address again and shows the error.
 *
 * Tested in tests/unit/console/live_test.ts.
 */
import { encodeEvent, EventStream } from "../api/event_stream.ts";
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

interface WatchedPage {
  readonly render: Watched["render"];
  readonly watchers: Set<EventStream>;
  /** `null`: the last rendering failed, so there are no current parts. */
  sections: ReadonlyMap<string, string> | null;
  sentAtMs: number;
}

/** Renders the pages that are open in browsers. */
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
    const page = this.#pages.get(key) ?? { render, sections, watchers: new Set<EventStream>(), sentAtMs: 0 };
    if (!this.#pages.has(key) && this.#pages.size >= MOST_PAGES) return null;
    this.#pages.set(key, page);
    this.start();
    const watcher = new EventStream({
      ...{ unreadBytes: UNREAD_BYTES, isValid, signal },
      onEnd: (ended) => {
        page.watchers.delete(ended);
        if (page.watchers.size === 0 && this.#pages.get(key) === page) this.#pages.delete(key);
      },
    });
    page.watchers.add(watcher);
    watcher.begin([encodeSections(sections)]);
    return watcher.body;
  }

  /** Ends every stream. */
  override async stop(): Promise<void> {
    this.#isStopped = true;
    for (const { watchers } of [...this.#pages.values()]) {
      for (const watcher of [...watchers]) watcher.end();
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
    // Ends those that may not watch any more, before anything is rendered for them.
    for (const watcher of [...page.watchers]) watcher.send([]);
    if (page.watchers.size === 0) return;
    const nowMs = this.#options.clock.monotonicMs();
    try {
      const sections = await page.render();
      const changed = new Map([...sections].filter(([id, html]) => page.sections?.get(id) !== html));
      page.sections = sections;
      if (changed.size === 0 && nowMs - page.sentAtMs < BEAT_MS) return;
      page.sentAtMs = nowMs;
      const bytes = changed.size > 0 ? encodeSections(changed) : encodeEvent("beat", { data: "{}" });
      for (const watcher of [...page.watchers]) watcher.send([bytes]);
    } catch (error) {
      page.sections = null;
      this.#options.onFailure(key, error);
      if (this.#options.isGone(error)) this.#move(page);
    }
  }

  #move({ watchers }: WatchedPage): void {
    for (const watcher of [...watchers]) {
      watcher.send([encodeEvent("moved", { data: "{}" })]);
      watcher.end();
    }
  }
}

function encodeSections(sections: ReadonlyMap<string, string>): Uint8Array {
  return encodeEvent("sections", { data: JSON.stringify(Object.fromEntries(sections)) });
}
