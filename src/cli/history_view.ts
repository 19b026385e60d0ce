/** How the history of a source looks in a terminal: a line of bars, then some steps in a table. Pure but for the terminal's width. */
import type { HistoryOutput, SourceHistory } from "../operations/history.ts";
import { formatCount, formatNumber, formatTable, paint, textOf } from "./table.ts";

type Step = SourceHistory["steps"][number];

/** Rows of the table, and bars of the line, at most. */
const ROWS = 12, BARS = 60, FEW_BARS = 20;
const LEVELS = "▁▂▃▄▅▆▇█";

/** Most sources that are shown in full; of more, each has a line. */
const MOST_IN_FULL = 4;

/** Shows every source. */
export function viewHistory({ sources }: HistoryOutput): string {
  if (sources.length <= MOST_IN_FULL) return sources.map(viewSource).join("\n");
  const rows = sources.map((one) => {
    const { source, steps, totals: { replayed, buried, cameBack } } = one, now = findNow(one);
    const most = largestDepth(one), held = now?.heldBy.join(" ") ?? "";
    return [source, now?.depth ?? null, most, replayed, buried, cameBack, held, drawBars(steps, FEW_BARS)];
  });
  const { from, to } = sources[0]!, stale = sources.flatMap(({ staleSince }) => staleSince ?? []).toSorted()[0];
  return [
    formatTable(SUMMARY_HEAD, rows).trimEnd(),
    paint("dim", `${textOf(from)} to ${textOf(to)}; --source NAME shows the steps of one`),
    ...(stale === undefined ? [] : [describeStale(stale)]),
    "",
  ].join("\n");
}

const SUMMARY_HEAD = ["source", "depth", "most", "replayed", "buried", "came back", "held by", "over time"];

function viewSource(history: SourceHistory): string {
  const { source, steps, from, to, totals, emptySince, staleSince } = history;
  const now = findNow(history), most = largestDepth(history);
  const facts = now === undefined || most === null
    ? "no samples"
    : `${formatCount(now.depth!, "message")}, at most ${formatNumber(most)}`;
  return [
    `${paint("bold", textOf(source))}  ${facts}  ${drawBars(steps, BARS)}`,
    formatTable(HEAD, mergeSteps(steps, ROWS).map(describeStep)).trimEnd(),
    ...history.changes.slice(-ROWS).map(({ at, gate, open, words }) =>
      `  ${textOf(at)} ${open ? paint("green", "opened") : paint("yellow", "closed")} ${gate}: ${textOf(words)}`
    ),
    paint("dim", `${textOf(from)} to ${textOf(to)}: ${describeTotals(totals)}`),
    ...(emptySince === null ? [] : [`The DLQ has been empty since ${textOf(emptySince)}`]),
    ...(staleSince === null ? [] : [describeStale(staleSince)]),
    "",
  ].join("\n");
}

function findNow({ steps }: SourceHistory): Step | undefined {
  return steps.findLast(({ depth }) => depth !== null);
}

function largestDepth({ steps }: SourceHistory): number | null {
  const depths = steps.flatMap(({ depthMax }) => depthMax ?? []);
  return depths.length === 0 ? null : Math.max(...depths);
}

function drawBars(steps: readonly Step[], most: number): string {
  return sparkline(mergeSteps(steps, most).map(({ depthMax }) => depthMax));
}

function describeStale(since: string): string {
  return paint("red", `Redis could not be read since ${textOf(since)}`);
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
