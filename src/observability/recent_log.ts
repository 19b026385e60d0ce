/** Keeps the newest log lines in memory, so that an operator can read them through the API. */
import { LOG_LEVELS, type LogLevel } from "./log.ts";

/** Most lines kept at WARNING and above, and below. */
const MOST_LINES = 500;
/** Longest message kept, in characters. */
const MOST_CHARACTERS = 2_000;

/** A line of the log, without its fields. */
export interface RecentLine {
  readonly atMs: number;
  readonly level: LogLevel;
  readonly event: string;
  readonly message: string;
}

/** The newest lines of this process. Lines at WARNING and above are kept apart, so that many others do not displace them. */
export class RecentLog {
  readonly #serious: RecentLine[] = [];
  readonly #others: RecentLine[] = [];

  /** Keeps a line. Drops the oldest of its kind if there are too many. */
  add(line: RecentLine): void {
    const kept = isAtLeast(line.level, "WARNING") ? this.#serious : this.#others;
    kept.push({ ...line, message: line.message.slice(0, MOST_CHARACTERS) });
    if (kept.length > MOST_LINES) kept.shift();
  }

  /** Returns the newest lines that fit, oldest first. `event`: only lines of this event; `null`: of any. */
  read({ level, event, size }: { level: LogLevel; event: string | null; size: number }): readonly RecentLine[] {
    return [...this.#serious, ...this.#others]
      .filter((line) => isAtLeast(line.level, level) && (event === null || line.event === event))
      .toSorted((a, b) => a.atMs - b.atMs).slice(-size);
  }
}

function isAtLeast(level: LogLevel, lowest: LogLevel): boolean {
  return LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(lowest);
}
