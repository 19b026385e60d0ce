/** What benchmarks came to, for a terminal and for a page. */
import { isMet, type Row, type Table, type Target } from "./family.ts";
import type { Machine } from "./machine.ts";

/** A whole run. */
export interface Report {
  readonly machine: Machine;
  readonly scale: string;
  readonly rounds: number;
  readonly tables: readonly Table[];
}

/** For a terminal: every table, then the targets. */
export function formatReport({ machine, tables }: Report): string {
  const parts = tables.map(({ title, rows, notes = [] }) => [title, ...alignCells(cellsOf(rows)), ...notes].join("\n"));
  const targets = targetsOf(tables);
  if (targets.length > 0) parts.push(["Targets", ...alignCells(targetCells(targets))].join("\n"));
  return [...parts, describeMachine(machine).join("\n")].join("\n\n");
}

/** For a page: the targets first. */
export function formatMarkdown(report: Report): string {
  const { machine, rounds, tables } = report;
  const measured = `Medians of ${rounds} alternating runs each, ratios round by round.`;
  const targets = targetsOf(tables);
  return [
    `${measured} ${describeMachine(machine).join("; ")}.`,
    ...targets.length > 0 ? ["### Targets", markTable(targetCells(targets))] : [],
    ...tables.flatMap(({ title, rows, notes = [] }) => [`### ${title}`, markTable(cellsOf(rows)), ...notes]),
  ].join("\n\n");
}

/** Three significant digits, thousands with commas. */
export function formatNumber(value: number | null): string {
  if (value === null) return "–";
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(3)));
}

function targetsOf(tables: readonly Table[]): Target[] {
  return tables.flatMap(({ targets = [] }) => targets);
}

function targetCells(targets: readonly Target[]): string[][] {
  const verdict = (target: Target) => ({ true: "met", false: "MISSED", null: "not measured" })[`${isMet(target)}`];
  return [
    ["target", "wanted", "measured", ""],
    ...targets.map((target) => {
      const { what, bound, limit, unit, value } = target;
      return [what, `${bound} ${formatNumber(limit)} ${unit}`, `${formatNumber(value)} ${unit}`, verdict(target)];
    }),
  ];
}

function cellsOf(rows: readonly Row[]): string[][] {
  const headings = [...new Set(rows.flatMap(({ figures }) => Object.keys(figures)))];
  return [
    ["", ...headings],
    ...rows.map(({ name, figures }) => [name, ...headings.map((heading) => formatNumber(figures[heading] ?? null))]),
  ];
}

/** Names to the left, figures to the right. */
function alignCells(lines: readonly string[][]): string[] {
  const widths = lines[0]!.map((_, i) => Math.max(...lines.map((cells) => cells[i]!.length)));
  return lines.map((cells) =>
    `  ${cells.map((cell, i) => i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)).join("  ")}`
  );
}

function markTable([headings, ...lines]: readonly string[][]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const rule = headings!.map((_, i) => i === 0 ? "---" : "---:");
  return [line(headings!), line(rule), ...lines.map(line)].join("\n");
}

function describeMachine(machine: Machine): string[] {
  const { cpu, cores, memoryGiB, os, deno, redis, python, service, commit, day, load } = machine;
  return [
    `${cores} cores (${cpu}), ${formatNumber(memoryGiB)} GiB, ${os}`,
    `Deno ${deno}, Redis ${redis}, ${python ?? "no redis-py"}, service ${service}`,
    `commit ${commit}, ${day}, load average before ${load.toFixed(2)}`,
  ];
}
