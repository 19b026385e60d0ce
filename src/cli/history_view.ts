/** How the history of a source looks in a terminal: a line of bars, then some steps in a table. Pure but for the terminal's width. */
import type { HistoryOutput, SourceHistory } from "../operations/history.ts";
import { formatCount, formatNumber, formatTable, paint, textOf } from "./table.ts";

type Step = SourceHistory["steps"][number];

/** Rows of the table, and bars of the line, at most. */
const ROWS = 12, BARS = 60;
const LEVELS = "▁▂▃▄▅▆▇█";

/** Shows every source. */
export function viewHistory({ sources }: HistoryOutput): string {
  return sources.map(viewSource).join("\n");
}

function viewSource(history: SourceHistory): string {
  const { source, steps, from, to, totals, emptySince, staleSince } = history;
  const depths = steps.flatMap(({ depthMax }) => depthMax ?? []), now = steps.findLast(({ depth }) => depth !== null);
  const facts = depths.length === 0
    ? "no samples"
    : `${formatCount(now!.depth!, "message")}, at most ${formatNumber(Math.max(...depths))}`;
  const bars = sparkline(mergeSteps(steps, BARS).map(({ depthMax }) => depthMax));
  return [
    `${paint("bold", textOf(source))}  ${facts}  ${bars}`,
    formatTable(HEAD, mergeSteps(steps, ROWS).map(describeStep)).trimEnd(),
    ...history.changes.slice(-ROWS).map(({ at, gate, open, words }) =>
      `  ${textOf(at)} ${open ? paint("green", "opened") : paint("yellow", "closed")} ${gate}: ${textOf(words)}`
    ),
    paint("dim", `${textOf(from)} to ${textOf(to)}: ${describeTotals(totals)}`),
    ...(emptySince === null ? [] : [`The DLQ has been empty since ${textOf(emptySince)}`]),
    ...(staleSince === null ? [] : [paint("red", `Redis could not be read since ${textOf(staleSince)}`)]),
    "",
  ].join("\n");
}

const HEAD = ["from", "depth", "most", "arrived", "replayed", "buried", "came back", "held by"];

function describeStep({ at, depth, depthMax, arrived, replayed, buried, cameBack, heldBy }: Step) {
  return [at.slice(0, 19), depth, depthMax, arrived, replayed, buried, cameBack, heldBy.join(" ")];
}

function describeTotals({ replayed, buried, cameBack, arrived }: SourceHistory["totals"]): string {
  const came = arrived === null ? "" : `about ${formatNumber(arrived)} arrived, `;
  return `${came}${formatNumber(replayed)} replayed, ${formatNumber(cameBack)} came back, ${
    formatNumber(buried)
  } buried`;
}

/** Joins neighbours, so that at most `most` steps are left. */
export function mergeSteps(steps: readonly Step[], most: number): readonly Step[] {
  const size = Math.max(1, Math.ceil(steps.length / most));
  return Array.from(
    { length: Math.ceil(steps.length / size) },
    (_, at) => steps.slice(at * size, (at + 1) * size).reduce(joinSteps),
  );
}

function joinSteps(one: Step, next: Step): Step {
  const depths = [one.depthMax, next.depthMax].filter((depth) => depth !== null);
  const arrived = [one.arrived, next.arrived].filter((count) => count !== null);
  return {
    ...(next.depth === null ? one : next),
    at: one.at,
    depthMax: depths.length === 0 ? null : Math.max(...depths),
    ...{ replayed: one.replayed + next.replayed, buried: one.buried + next.buried },
    cameBack: one.cameBack + next.cameBack,
    arrived: arrived.length === 0 ? null : arrived.reduce((sum, count) => sum + count, 0),
    heldBy: [...one.heldBy, ...next.heldBy.filter((gate) => !one.heldBy.includes(gate))],
  };
}

/** Formats one bar per depth, scaled to the largest; a blank for a step without a sample. */
export function sparkline(depths: readonly (number | null)[]): string {
  const most = Math.max(1, ...depths.map((depth) => depth ?? 0));
  return depths.map((depth) => depth === null ? " " : LEVELS[Math.ceil(depth / most * (LEVELS.length - 1))]).join("");
}
