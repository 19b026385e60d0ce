/** Reads a source's windows at an instant. Loads croner: import it only if there are windows. Pure. */
import { Span, type SpanReading } from "./span.ts";
import type { ReplayWindow } from "./window.ts";

/**
 * Most instants that are looked at to find when replay is allowed or forbidden next, and most readings of single windows for that. A
 * reading takes about half a millisecond, in which the process does nothing else.
 */
const MOST_LOOKS = 200, MOST_READINGS = 400;

/** What windows say of an instant. */
export interface ScheduleReading {
  /** The window that forbids replay: one that it is inside of, or the `only` window that begins next. `null`: replay is allowed. */
  readonly heldBy: ReplayWindow | null;
  /** When that ends or begins, in milliseconds since the epoch; `null`: never, or not before {@link lookedUntilMs}. */
  readonly flipsAtMs: number | null;
  /** Up to when this was looked for: an instant, or Infinity. */
  readonly lookedUntilMs: number;
}

/** A window that keeps its last reading, which holds until its next change. */
class ReadWindow {
  readonly window: ReplayWindow;
  readonly #span: Span;
  readonly #onReading: () => void;
  #last: (SpanReading & { readonly sinceMs: number }) | null = null;

  constructor(window: ReplayWindow, onReading: () => void) {
    this.window = window;
    this.#span = new Span(window);
    this.#onReading = onReading;
  }

  at(nowMs: number): { readonly isInside: boolean; readonly changesAtMs: number } {
    if (this.#last === null || !isWithin(this.#last.sinceMs, nowMs, this.#last.changesAtMs ?? Infinity)) {
      this.#last = { ...this.#span.at(nowMs), sinceMs: nowMs };
      this.#onReading();
    }
    return { isInside: this.#last.isInside, changesAtMs: this.#last.changesAtMs ?? Infinity };
  }
}

/** All windows of a source. Reading them at instants that go forward is cheap. */
class ReadWindows {
  readonly #never: readonly ReadWindow[];
  readonly #only: readonly ReadWindow[];
  /** Readings of single windows so far. */
  readings = 0;

  constructor(windows: readonly ReplayWindow[]) {
    const all = windows.map((window) => new ReadWindow(window, () => this.readings++));
    this.#never = all.filter(({ window }) => window.replay === "never");
    this.#only = all.filter(({ window }) => window.replay === "only");
  }

  heldBy(nowMs: number): ReplayWindow | null {
    const inside = this.#never.find((one) => one.at(nowMs).isInside);
    if (inside) return inside.window;
    if (this.#only.length === 0 || this.#only.some((one) => one.at(nowMs).isInside)) return null;
    const startsAtMs = (one: ReadWindow) => one.at(nowMs).changesAtMs;
    return this.#only.reduce((first, one) => startsAtMs(one) < startsAtMs(first) ? one : first).window;
  }

  /** The first change of any window. */
  changesAtMs(nowMs: number): number {
    return Math.min(...[...this.#never, ...this.#only].map((one) => one.at(nowMs).changesAtMs));
  }

  /** An instant before which it stays as it is now, replay allowed or forbidden, whatever single windows do; Infinity: it always does. */
  staysUntilMs(nowMs: number): number {
    const never = this.#never.map((one) => one.at(nowMs)), inside = never.filter(({ isInside }) => isInside);
    if (inside.length > 0) return Math.max(...inside.map(({ changesAtMs }) => changesAtMs));
    const only = this.#only.map((one) => one.at(nowMs)), open = only.filter(({ isInside }) => isInside);
    if (only.length > 0 && open.length === 0) return Math.min(...only.map(({ changesAtMs }) => changesAtMs));
    const closesAtMs = only.length === 0 ? Infinity : Math.max(...open.map(({ changesAtMs }) => changesAtMs));
    return Math.min(closesAtMs, ...never.map(({ changesAtMs }) => changesAtMs));
  }
}

/** The windows of one source. */
export class WindowSchedule {
  readonly #now: ReadWindows;
  /** The same windows, read at later instants: the search for the next flip must not push the readings of now aside. */
  readonly #ahead: ReadWindows;
  #last: { readonly reading: ScheduleReading; readonly sinceMs: number; readonly untilMs: number } | null = null;
  #flip: { readonly sinceMs: number; readonly atMs: number | null; readonly lookedUntilMs: number } | null = null;

  /** @throws {Error} if a window cannot be used */
  constructor(windows: readonly ReplayWindow[]) {
    this.#now = new ReadWindows(windows);
    this.#ahead = new ReadWindows(windows);
  }

  /** Reads the windows. Cheap until the next change of any of them. */
  at(nowMs: number): ScheduleReading {
    if (this.#last === null || !isWithin(this.#last.sinceMs, nowMs, this.#last.untilMs)) {
      const { atMs: flipsAtMs, lookedUntilMs } = this.#findFlip(nowMs);
      const reading = { heldBy: this.#now.heldBy(nowMs), flipsAtMs, lookedUntilMs };
      this.#last = { reading, sinceMs: nowMs, untilMs: this.#now.changesAtMs(nowMs) };
    }
    return this.#last.reading;
  }

  #findFlip(nowMs: number) {
    if (this.#flip === null || !isWithin(this.#flip.sinceMs, nowMs, this.#flip.atMs ?? this.#flip.lookedUntilMs)) {
      this.#flip = { sinceMs: nowMs, ...this.#lookAhead(nowMs) };
    }
    return this.#flip;
  }

  #lookAhead(nowMs: number): { readonly atMs: number | null; readonly lookedUntilMs: number } {
    const isHeld = this.#ahead.heldBy(nowMs) !== null, mostReadings = this.#ahead.readings + MOST_READINGS;
    let atMs = nowMs;
    for (let looks = 0; looks < MOST_LOOKS && this.#ahead.readings < mostReadings; looks++) {
      atMs = this.#ahead.staysUntilMs(atMs);
      if (atMs === Infinity) break;
      if ((this.#ahead.heldBy(atMs) !== null) !== isHeld) return { atMs, lookedUntilMs: atMs };
    }
    return { atMs: null, lookedUntilMs: atMs };
  }
}

/** Whether an instant is in a half-open span. */
function isWithin(sinceMs: number, nowMs: number, untilMs: number): boolean {
  return sinceMs <= nowMs && nowMs < untilMs;
}
