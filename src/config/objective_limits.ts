/** What bounds a service level objective: how often its window is sampled, and how many events its target needs. Pure. */

/** Parts of a window: its edge is off by at most one of them. */
export const SLOTS = 240;

/** Longest and shortest time from sample to sample; between them a part of the window. */
const MAX_PERIOD_MS = 5_000, MIN_PERIOD_MS = 100;

/** Digits that are kept: two numbers that differ behind them differ by the arithmetic only. */
const PRECISION = 1e9;

/** How often a window's events that are samples are taken, in milliseconds. */
export function samplePeriodMs(windowMs: number): number {
  return Math.min(MAX_PERIOD_MS, Math.max(MIN_PERIOD_MS, windowMs / SLOTS));
}

/** As many events as there must be for a single bad one to be within the budget. */
export function eventsToJudge(target: number): number {
  return Math.ceil(roundShare(1 / errorBudget(target)));
}

/** The error budget of a target, as a share: 1 − 0.9999 is not quite 0.0001. */
export function errorBudget(target: number): number {
  return roundShare(1 - target);
}

/** A share or a rate without the error of its arithmetic. */
export function roundShare(value: number): number {
  return Math.round(value * PRECISION) / PRECISION;
}
