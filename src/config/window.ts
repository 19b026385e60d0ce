/** Maintenance windows: spans of time in which replay is forbidden, or to which it is limited. Plain data. */
import type { WindowEntry } from "./window_fields.ts";

/** What a window says about replay: `never` inside of it, or `only` inside of it. */
export type WindowRule = "never" | "only";

/** A window. Its span follows the wall clock of its time zone. */
export interface ReplayWindow {
  /** Cron expression of five fields, or a local date and time. The start belongs to the window, the end does not. */
  readonly from: string;
  readonly to: string;
  /** IANA name. */
  readonly timeZone: string;
  readonly replay: WindowRule;
  /** Why, in one line. */
  readonly reason: string;
}

/** What a window of the sources file means without these members. */
export const WINDOW_DEFAULTS = { timeZone: "UTC", replay: "never" } as const;

/** Returns a window of the sources file with its defaults. */
export function toWindow({ from, to, timeZone, replay, reason }: WindowEntry): ReplayWindow {
  return {
    ...{ from, to, reason },
    timeZone: timeZone ?? WINDOW_DEFAULTS.timeZone,
    replay: replay ?? WINDOW_DEFAULTS.replay,
  };
}
