/**
 * Spans of time that a file describes: from a start to an end, in a time zone. Each of the two is a cron expression (the span
 * repeats) or a local date and time (it happens once). Both ends follow the wall clock, so a span from 22:00 to 06:00 takes an hour more or
 * less in the night in which the clocks change.
 */
import { Cron } from "croner";

/** A span, as a file says it. */
export interface SpanText {
  /** Cron expression of five fields, or `2026-12-24T18:00`. */
  readonly from: string;
  readonly to: string;
  /** IANA name, such as `Europe/Berlin`. */
  readonly timeZone: string;
}

/** What a span says of an instant. */
export interface SpanReading {
  readonly isInside: boolean;
  /** When that changes, in milliseconds since the epoch, or an earlier instant at which to ask again; `null`: never. */
  readonly changesAtMs: number | null;
}

/** A valid end of a span; completes "is not". */
export const SPAN_END_WANTS = 'a cron expression of five fields ("0 22 * * FRI") or a local time ("2026-12-24T18:00")';
/** A valid time zone; completes "is not". */
export const TIME_ZONE_WANTS = "an IANA time zone such as Europe/Berlin or UTC";

/** Five fields of a cron expression, or a local date and time with optional seconds. croner knows more, which needs no page here. */
const CRON = /^\s*\S+(\s+\S+){4}\s*$/, LOCAL = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?$/;
/** Longest expression, in characters. */
const MAX_TEXT = 200;

/** Whether an end of a span is a local date and time, so that it happens once. Else it is a cron expression. */
export function isLocalTime(text: string): boolean {
  return LOCAL.test(text);
}

/** Whether a text is a usable end of a span. */
export function isSpanEnd(text: string): boolean {
  if (text.length > MAX_TEXT || !(CRON.test(text) || LOCAL.test(text))) return false;
  if (isLocalTime(text)) return isInCalendar(text);
  try {
    return new Cron(text, OPTIONS).nextRun(new Date(0)) !== null;
  } catch {
    return false;
  }
}

/** `Date` takes February 30 for March 2. */
function isInCalendar(text: string): boolean {
  const atMs = Date.parse(`${text}Z`);
  return !isNaN(atMs) && new Date(atMs).toISOString().startsWith(text);
}

/** Whether a text names a time zone that this runtime knows. */
export function isTimeZone(text: string): boolean {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: text }) !== null;
  } catch {
    return false;
  }
}

/**
 * Never runs anything by itself. Of a time without a wildcard, also one in a list, the clocks' changes neither skip nor repeat it: a span
 * must not lack its end.
 */
const OPTIONS = { paused: true, fixedTimeRule: "no-wildcard" } as const;

/** Why two valid ends are no span, as what the end should be; completes "is not". `null`: they are one. */
export function whyNoSpan({ from, to, timeZone }: SpanText): string | null {
  if (isLocalTime(from) !== isLocalTime(to)) {
    return isLocalTime(from) ? "a local time, as from is" : "a cron expression, as from is";
  }
  if (isLocalTime(from)) return to > from ? null : "after from";
  const span = new Span({ from, to, timeZone }), { isInside, changesAtMs } = span.at(0);
  const happens = isInside || (changesAtMs !== null && span.at(changesAtMs).isInside);
  return happens ? null : "at another time than from";
}

/** Most coinciding starts and ends that one reading passes over to find a span that happens: each hour of a week. */
const MOST_COINCIDING = 170;

/** A span that can be asked about any instant. */
export class Span {
  readonly #from: Cron;
  readonly #to: Cron;

  /** @throws {Error} if an end or the time zone cannot be used: see {@link isSpanEnd}, {@link isTimeZone} */
  constructor({ from, to, timeZone: timezone }: SpanText) {
    this.#from = new Cron(from, { ...OPTIONS, timezone });
    this.#to = new Cron(to, { ...OPTIONS, timezone });
  }

  /**
   * Reads the span at an instant, in milliseconds since the epoch. It is inside from a start until the next end. The start belongs to
   * it, the end does not; if both fall on one instant, it does not begin.
   */
  at(nowMs: number): SpanReading {
    const startedMs = lastOf(this.#from, nowMs), endedMs = lastOf(this.#to, nowMs);
    const isInside = startedMs !== null && (endedMs === null || startedMs > endedMs);
    return { isInside, changesAtMs: isInside ? nextOf(this.#to, nowMs) : this.#nextStart(nowMs) };
  }

  /** The next start at which no end falls; if there are too many others before it, one of those. */
  #nextStart(nowMs: number): number | null {
    let startMs = nextOf(this.#from, nowMs);
    for (let i = 0; startMs !== null && i < MOST_COINCIDING && nextOf(this.#to, startMs - 1) === startMs; i++) {
      startMs = nextOf(this.#from, startMs);
    }
    return startMs;
  }
}

/** The first time after an instant. */
function nextOf(cron: Cron, afterMs: number): number | null {
  return cron.nextRun(new Date(afterMs))?.getTime() ?? null;
}

/** The last time up to an instant, which counts too. croner looks before a whole second. */
function lastOf(cron: Cron, nowMs: number): number | null {
  return cron.previousRuns(1, new Date((Math.floor(nowMs / 1_000) + 1) * 1_000))[0]?.getTime() ?? null;
}
