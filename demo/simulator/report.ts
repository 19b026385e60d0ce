/** What the simulator prints: pure text. */
import type { Incident } from "./incidents.ts";
import { isExact } from "./ledger.ts";
import type { Depths, Result } from "./pipeline.ts";

/** A stall of so many real milliseconds, or workers late by this share of the run, make a run's times doubtful. */
const DOUBTFUL_LAG_MS = 500, DOUBTFUL_SHARE = 0.02;

/** One contender's result. */
export interface Column {
  readonly title: string;
  readonly result: Result;
}

const LABEL_WIDTH = 50, COLUMN_WIDTH = 31;

/** The measures of a run, in the order in which they are shown. */
export const MEASURES: readonly (readonly [label: string, show: (result: Result) => string])[] = [
  ["time to heal, from the end of the fault", showHealing],
  ["lost because of replays", ({ account }) => count(account.lostByReplays)],
  ["lost by the pipeline itself", ({ account }) => count(account.lostByPipeline)],
  ["wrongly dead (healthy, in the dead list)", ({ account }) => count(account.wronglyDead)],
  ["bounced (came back to their DLQ)", ({ account }) => count(account.bounced)],
  ["delay of live events after the fault (95th perc.)", ({ liveDelaySeconds }) => showDelay(liveDelaySeconds)],
  ["commands sent to Redis (a script is one)", ({ commands }) => count(commands)],
  [
    "left in the DLQs (alerter + moog)",
    ({ account: { fates } }) => `${count(fates.dlqAlerter)} + ${count(fates.dlqMoog)}`,
  ],
  ["in the dead list", ({ account }) => count(account.fates.dead)],
];

/** Both side by side. */
export function formatTable(incident: Incident, columns: readonly Column[]): string {
  const line = (label: string, cells: readonly string[]) =>
    `  ${label.padEnd(LABEL_WIDTH)}${cells.map((cell) => cell.padStart(COLUMN_WIDTH)).join("")}`;
  return [
    "",
    line(incident.title, []).trimEnd(),
    line("", columns.map(({ title }) => title)),
    ...MEASURES.map(([label, show]) => line(label, columns.map(({ result }) => show(result)))),
    "",
    ...columns.map(({ title, result }) => `  ${title}: ${formatAccount(result)}`),
    ...formatDoubts(columns),
  ].join("\n");
}

/** The account of one run: every event that entered, once. */
export function formatAccount({ account }: Result): string {
  const { entered, fates, unaccounted, doubled, strangers } = account;
  const words = {
    delivered: "delivered",
    destroyed: "destroyed over the rate limit",
    discarded: "thrown away",
    dead: "dead",
    dlqAlerter: "in the alerter's DLQ",
    dlqMoog: "in the forwarder's DLQ",
    wedged: "stuck in a consumer",
    queued: "on their way",
  } as const;
  const parts = (Object.keys(words) as (keyof typeof words)[]).filter((fate) => fates[fate] > 0)
    .map((fate) => `${count(fates[fate])} ${words[fate]}`);
  const verdict = isExact(account)
    ? "exact"
    : `NOT EXACT: ${unaccounted} without a fate, ${doubled} doubled, ${strangers} unknown`;
  return `${count(entered)} entered = ${parts.join(" + ")} (${verdict})`;
}

/** Rows for the table of demo/simulator/figures.md. */
export function formatMarkdown(incident: Incident, columns: readonly Column[]): string {
  return columns.map(({ title, result }) =>
    `| ${[incident.name, title, ...MEASURES.map(([, show]) => show(result))].join(" | ")} |`
  ).join("\n");
}

/** One line of progress. */
export function formatProgress(minute: number, depths: readonly (readonly [title: string, depths: Depths])[]): string {
  const parts = depths.map(([title, { ingest, alerts, dlqAlerter, dlqMoog, dead }]) =>
    `${title}: queued ${ingest}+${alerts}, DLQs ${dlqAlerter}+${dlqMoog}, dead ${dead}`
  );
  return `  ${String(Math.floor(minute)).padStart(3)} min  ${parts.join("  |  ")}`;
}

function showHealing({ healedAfterMinutes, unhealed, watchedMinutes }: Result): string {
  if (healedAfterMinutes !== null) return `${healedAfterMinutes.toFixed(1)} min`;
  return `not in ${watchedMinutes.toFixed(0)} min (${count(unhealed)} open)`;
}

function showDelay(seconds: number): string {
  return seconds < 100 ? `${seconds.toFixed(0)} s` : `${(seconds / 60).toFixed(1)} min`;
}

/** Whether the machine was too slow for the factor. */
export function isDoubtful({ worstLagMs, lateShare }: Result): boolean {
  return worstLagMs > DOUBTFUL_LAG_MS || lateShare > DOUBTFUL_SHARE;
}

function formatDoubts(columns: readonly Column[]): string[] {
  return columns.filter(({ result }) => isDoubtful(result)).map(({ title, result: { worstLagMs, lateShare } }) =>
    `  ${title}: times are doubtful: this machine stalled for up to ${
      Math.round(worstLagMs)
    } ms, and its workers lost ` +
    `${(100 * lateShare).toFixed(1)} % of their time`
  );
}

function count(number: number): string {
  return number.toLocaleString("en");
}
