/** Gate `window`: closed while a window of the sources file forbids replay, and while an operator has frozen the source. */
import type { ScheduleReading, WindowSchedule } from "../config/window_schedule.ts";
import type { ReplayWindow } from "../config/window.ts";
import type { Snapshot } from "../cycle/cycle_state.ts";
import { describeFreeze, pauseLeftMs, toShortTime } from "../cycle/pause.ts";
import type { Gate, GateAnswer } from "./gate.ts";

/** Dependencies of the gate. */
export interface WindowGateDeps {
  /** The windows in force: the same list until they change. */
  readonly windows: () => readonly ReplayWindow[];
  /** The source's latest snapshot. */
  readonly snapshot: () => Pick<Snapshot, "record" | "nowMs"> | null;
}

type WindowAnswer = GateAnswer<"window">;

const NO_WINDOWS: ScheduleReading = { heldBy: null, flipsAtMs: null, lookedUntilMs: Infinity };

/**
 * Creates the gate. It goes by the server's clock of the source's latest snapshot, so all instances agree, whatever their own clocks
 * say. Without windows it only compares a number.
 */
export function createWindowGate({ windows, snapshot }: WindowGateDeps): Gate<"window"> {
  let loaded: { readonly of: readonly ReplayWindow[]; readonly schedule: Promise<WindowSchedule> } | undefined;
  return {
    name: "window",
    ask() {
      const known = snapshot();
      if (!known) return { open: false, reason: "unknown", detail: "the source has not been read yet", retryInMs: 250 };
      const inForce = windows();
      if (inForce.length === 0) return answer(known, NO_WINDOWS);
      if (loaded?.of !== inForce) loaded = { of: inForce, schedule: loadSchedule(inForce) };
      return loaded.schedule.then((schedule) => answer(known, schedule.at(known.nowMs)));
    },
  };
}

/** Loads croner, which few installations need. */
async function loadSchedule(windows: readonly ReplayWindow[]): Promise<WindowSchedule> {
  const { WindowSchedule } = await import("../config/window_schedule.ts");
  return new WindowSchedule(windows);
}

function answer({ record, nowMs }: Pick<Snapshot, "record" | "nowMs">, reading: ScheduleReading): WindowAnswer {
  const { freeze } = record, freezeMs = pauseLeftMs(freeze, nowMs), { heldBy, flipsAtMs } = reading;
  const flip = flipsAtMs === null ? {} : { retryInMs: flipsAtMs - nowMs };
  if (freeze && freezeMs > 0) {
    const also = heldBy ? `; also ${describeWindow(heldBy, reading, nowMs)}` : "";
    return { open: false, reason: "frozen", detail: `${describeFreeze(freeze, nowMs)}${also}`, retryInMs: freezeMs };
  }
  if (heldBy) {
    const reason = heldBy.replay === "never" ? "inside" : "outside";
    return { open: false, reason, detail: describeWindow(heldBy, reading, nowMs), ...flip };
  }
  const until = flipsAtMs === null ? "" : ` until ${toShortTime(flipsAtMs, nowMs)}`;
  return { open: true, reason: "none", detail: `no window or freeze holds the source${until}`, ...flip };
}

/** `window: Moogsoft is maintained, until 04:00 UTC (06:00 Europe/Berlin)`. */
function describeWindow(
  { replay, reason, timeZone }: ReplayWindow,
  { flipsAtMs: endsAtMs, lookedUntilMs }: ScheduleReading,
  nowMs: number,
): string {
  const what = `${replay === "never" ? "window" : "outside the window"}: ${reason}`;
  if (endsAtMs === null && lookedUntilMs === Infinity) return `${what}, without an end`;
  if (endsAtMs === null) return `${what}, at least until ${toShortTime(lookedUntilMs, nowMs)}`;
  const local = timeZone === "UTC" ? "" : ` (${toZonedTime(endsAtMs, nowMs, timeZone)})`;
  return `${what}, until ${toShortTime(endsAtMs, nowMs)}${local}`;
}

/** Formats an instant as `06:00 Europe/Berlin`, with the date if it is another day there. */
function toZonedTime(atMs: number, nowMs: number, timeZone: string): string {
  const format = new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: "short" });
  const [[day, time], [today]] = [atMs, nowMs].map((ms) => format.format(ms).split(" ")) as [string[], string[]];
  return `${day === today ? "" : `${day} `}${time} ${timeZone}`;
}
