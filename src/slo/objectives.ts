/** Defines the service level objectives and the formulae of MUTT's `docs/SLOs.md` (contract §6). Pure. */
import { errorBudget, eventsToJudge, roundShare } from "../config/objective_limits.ts";

/** All objectives, in display order. Closed set: metric labels use exactly these (docs/slos.md defines each). */
export const SLO_NAMES = ["time_to_drain", "oldest_age", "redrive_success", "downstream_availability"] as const;
/** One of {@link SLO_NAMES}. */
export type SloName = (typeof SLO_NAMES)[number];

/** Returns the objectives of a source with these gates. Without the gate that asks Moogsoft, nothing says how available that is. */
export function objectivesOf(gates: readonly string[]): readonly SloName[] {
  return SLO_NAMES.filter((slo) => slo !== "downstream_availability" || gates.includes("downstream"));
}

/** MUTT's three states, plus one for too few events: missing data is never critical. */
export const SLO_STATES = ["ok", "warn", "critical", "insufficient_data"] as const;
/** One of {@link SLO_STATES}. */
export type SloState = (typeof SLO_STATES)[number];

/** Events of one objective and the bad ones among them. A bad event may belong to an event before the window. */
export interface SloCount {
  readonly events: number;
  readonly bad: number;
}

/** A count of 0. */
export const NO_EVENTS: SloCount = { events: 0, bad: 0 };

/** Judgement of a count. Numbers are `null` without events. */
export interface SloVerdict {
  /** Share of good events, 0 to 1. */
  readonly availability: number | null;
  /** (availability − target) / (1 − target): 1 untouched, 0 used up, negative overdrawn. */
  readonly errorBudgetRemaining: number | null;
  /** (1 − availability) / (1 − target): at 1 the budget lasts exactly the window. */
  readonly burnRate: number | null;
  readonly state: SloState;
  /** Minimum number of events; with fewer the state is `insufficient_data`. */
  readonly eventsNeeded: number;
}

/** Highest burn rates of `ok` and `warn`, as MUTT documents them. */
const OK_UP_TO = 1, WARN_UP_TO = 2;

/** Judges a count against a target (above 0, below 1). */
export function judgeSlo({ events, bad }: SloCount, target: number): SloVerdict {
  const eventsNeeded = eventsToJudge(target);
  if (events <= 0) {
    const nothing = { availability: null, errorBudgetRemaining: null, burnRate: null };
    return { ...nothing, state: "insufficient_data", eventsNeeded };
  }
  // Replays from before the window may return in it, so bad events can outnumber events.
  const badShare = Math.min(1, Math.max(0, bad) / events);
  const burnRate = roundShare(badShare / errorBudget(target));
  return {
    availability: roundShare(1 - badShare),
    errorBudgetRemaining: roundShare(1 - burnRate),
    burnRate,
    state: events < eventsNeeded ? "insufficient_data" : stateAt(burnRate),
    eventsNeeded,
  };
}

/** Returns the worst known state; `insufficient_data` if all states are. */
export function worstState(states: readonly SloState[]): SloState {
  return (["critical", "warn", "ok"] as const).find((state) => states.includes(state)) ?? "insufficient_data";
}

function stateAt(burnRate: number): SloState {
  return burnRate <= OK_UP_TO ? "ok" : burnRate <= WARN_UP_TO ? "warn" : "critical";
}
