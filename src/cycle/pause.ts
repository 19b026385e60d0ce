/**
 * What an operator holds for some time. Pure.
 *
 * - A *pause* holds automatic replay. A job that an operator confirmed goes on.
 * - A *freeze* holds everything that goes to the target, also replay by jobs.
 */

/** Longest pause or freeze, in milliseconds: 7 days. Both always end by themselves. */
export const MAX_PAUSE_MS = 7 * 86_400_000;
/** Clocks of a server and its replica differ by less, in milliseconds. What would last longer than both was not set by us. */
const CLOCK_DIFFERENCE_MS = 3_600_000;
/** Maximum length of an operator's name and of a reason, in characters. */
export const MAX_OPERATOR_NAME = 64, MAX_REASON = 200;

/** A pause of a source. */
export interface Pause {
  /** When it ends, by the server's clock. */
  readonly untilMs: number;
  /** Name of the operator. */
  readonly by: string;
  readonly reason: string;
}
/** A freeze of a source. */
export type Freeze = Pause;

/** Returns the pause or freeze in these fields; `null` if they hold none. Any client may have written them, so the texts become one short line. */
export function parsePause({ untilMs, by, reason }: Pause): Pause | null {
  if (untilMs === 0) return null;
  return { untilMs, by: toLine(by, MAX_OPERATOR_NAME), reason: toLine(reason, MAX_REASON) };
}

/**
 * Returns the time left of a pause or freeze, in milliseconds, or 0 without one or after its end. `nowMs`: the server's clock. A
 * time beyond the longest pause also returns 0: the clock was set back, or a person wrote the field.
 */
export function pauseLeftMs(pause: Pause | null, nowMs: number): number {
  const leftMs = (pause?.untilMs ?? 0) - nowMs;
  return leftMs > 0 && leftMs <= MAX_PAUSE_MS + CLOCK_DIFFERENCE_MS ? leftMs : 0;
}

/** Returns the pause in words: `paused by ann until 14:30 UTC: network work`. `nowMs`: the server's clock. */
export function describePause(pause: Pause, nowMs: number): string {
  return `paused${describeRest(pause, nowMs)}`;
}

/** Returns the freeze in words: `frozen by ann until 14:30 UTC: Moogsoft is upgraded`. `nowMs`: the server's clock. */
export function describeFreeze(freeze: Freeze, nowMs: number): string {
  return `frozen${describeRest(freeze, nowMs)}`;
}

function describeRest({ by, untilMs, reason }: Pause, nowMs: number): string {
  const name = by === "" ? "" : ` by ${by}`, why = reason === "" ? "" : `: ${reason}`;
  return `${name} until ${toShortTime(untilMs, nowMs)}${why}`;
}

/** Formats an instant as `14:30 UTC`, with the date if it is another day. */
export function toShortTime(atMs: number, nowMs: number): string {
  const [day, time] = new Date(atMs).toISOString().split("T") as [string, string];
  const isToday = new Date(nowMs).toISOString().startsWith(day);
  return `${isToday ? "" : `${day} `}${time.slice(0, 5)} UTC`;
}

/** Makes a text one line without control or invisible characters, of limited length. */
export function toLine(text: string, most: number): string {
  return [...text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]+/gu, " ").trim()].slice(0, most).join("");
}
