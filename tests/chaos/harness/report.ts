/** What a chaos run came to, as tables. */
import { isClean } from "./oracle.ts";
import type { LeaseMode, ScenarioResult } from "./scenario.ts";

/** One scenario under one lease mode. */
export interface Row {
  readonly scenario: string;
  readonly lease: LeaseMode;
  readonly seed: number;
  readonly seconds: number;
  /** `null` where the scenario itself failed. */
  readonly result: ScenarioResult | null;
  /** How it failed. */
  readonly problem: string | null;
}

const HEADINGS = [
  "scenario",
  "lease",
  "rounds",
  "messages",
  "lost",
  "doubled",
  "misjudged",
  "miscounted",
  "broken",
  "seconds",
  "figures",
];

/** For a terminal. */
export function formatTable(rows: readonly Row[]): string {
  const lines = [HEADINGS, ...rows.map(cellsOf)];
  const widths = HEADINGS.map((_, i) => Math.max(...lines.map((cells) => cells[i]!.length)));
  const isText = (i: number) => i < 2 || i === HEADINGS.length - 1;
  const format = (cells: readonly string[]) =>
    cells.map((cell, i) => isText(i) ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)).join("  ").trimEnd();
  return lines.map(format).join("\n");
}

/** What one came to, in a line: nothing of it is lost where the run is ended early. */
export function formatRow(row: Row): string {
  return `  ${cellsOf(row).map((cell, i) => `${HEADINGS[i]} ${cell}`).slice(2).join(", ")}`;
}

/** For a page. */
export function formatMarkdown(rows: readonly Row[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(HEADINGS), line(HEADINGS.map(() => "---")), ...rows.map((row) => line(cellsOf(row)))].join("\n");
}

function cellsOf({ scenario, lease, seconds, result }: Row): string[] {
  if (!result) return [scenario, lease, "-", "-", "-", "-", "-", "-", "-", seconds.toFixed(0), "FAILED"];
  const { messages, lost, doubled, misjudged, miscounted, broken } = result.findings;
  const counts = [result.rounds, messages, lost, doubled, misjudged, miscounted, broken].map(String);
  const figures = Object.entries(result.figures).map(([name, value]) => `${name} ${value}`).join(", ");
  return [scenario, lease, ...counts, seconds.toFixed(0), isClean(result.findings) ? figures : `NOT CLEAN; ${figures}`];
}
