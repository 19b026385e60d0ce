/** Tables and words for people. Everything that comes from the service is printed without control characters. */
import Table from "cli-table3";
import { escapeHidden } from "../runtime/control_characters.ts";
import { isOutTerminal, terminalSize, wantsColor } from "../runtime/terminal.ts";

/** Columns between two cells. */
const GAP = 2;
/** Narrowest last column, in characters. */
const NARROWEST = 12;

const NO_LINES = Object.fromEntries(
  ["top", "top-mid", "top-left", "top-right", "bottom", "bottom-mid", "bottom-left", "bottom-right"]
    .concat("left", "left-mid", "mid", "mid-mid", "right", "right-mid").map((name) => [name, ""]),
);

/** A value in a cell: `null` and `undefined` are `-`. */
export type Cell = string | number | null | undefined;

/**
 * Formats rows below a head. On a terminal the last column is cut to what fits; where not even {@link NARROWEST} characters of it
 * fit, each row is a block of lines instead: a name and a value each.
 */
export function formatTable(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const cells = rows.map((row) => row.map(textOf));
  const last = head.length - 1;
  const widths = head.slice(0, -1).map((text, at) => Math.max(text.length, ...cells.map((row) => row[at]!.length)));
  const rest = terminalSize().columns - widths.reduce((sum, width) => sum + width + GAP, 0);
  const isCut = isOutTerminal() && cells.some((row) => row[last]!.length > rest);
  if (isCut && rest < NARROWEST) return formatBlocks(head, cells);
  const table = new Table({
    head: head.map((text) => paint("bold", text)),
    chars: { ...NO_LINES, middle: " ".repeat(GAP) },
    style: { "padding-left": 0, "padding-right": 0, head: [], border: [], compact: true },
    ...(isCut ? { colWidths: [...widths.map(() => null), rest] } : {}),
  });
  table.push(...cells);
  return `${table.toString().split("\n").map((line) => line.trimEnd()).join("\n")}\n`;
}

/** Empty values are left out. */
function formatBlocks(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const width = Math.max(...head.map(({ length }) => length)), { columns } = terminalSize();
  return rows.map((row) =>
    row.map((value, at) => [head[at]!, value] as const).filter(([, value]) => value !== "-")
      .map(([name, value]) =>
        `${cutLine(`${paint("bold", name)}${" ".repeat(width - name.length + GAP)}${value}`, columns)}\n`
      )
      .join("")
  ).join("\n");
}

/** A part of a line: a colour, or one character. */
// deno-lint-ignore no-control-regex
const PART = /\x1b\[[\d;]*m|./gsu;

/** Cuts a line to a number of columns. Colours take no place, and stay. */
export function cutLine(line: string, columns: number): string {
  const parts = line.match(PART) ?? [];
  if (parts.filter(isVisible).length <= columns) return line;
  let left = columns - 1;
  return parts.map((part) => !isVisible(part) ? part : --left >= 0 ? part : left === -1 ? "…" : "").join("");
}

function isVisible(part: string): boolean {
  return !part.startsWith("\x1b");
}

/** A text of the service in one safe line. */
export function textOf(value: Cell): string {
  return value === null || value === undefined || value === "" ? "-" : escapeHidden(String(value));
}

const CODES = { bold: 1, red: 31, green: 32, yellow: 33, dim: 2 } as const;

/** Colours a text if the terminal wants colours. */
export function paint(how: keyof typeof CODES, text: string): string {
  return wantsColor() ? `\x1b[${CODES[how]}m${text}\x1b[0m` : text;
}

/** A count with its noun: `1 message`, `12,345 messages`. */
export function formatCount(count: number, noun: string): string {
  return `${formatNumber(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** With a comma between thousands. */
export function formatNumber(count: number): string {
  return count.toLocaleString("en-US");
}

/** `512 B`, `1.5 KiB`, `20 MiB`. */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB"], at = Math.min(3, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  const value = bytes / 1_024 ** at;
  return `${at === 0 || value >= 10 ? Math.round(value) : value.toFixed(1)} ${units[at]}`;
}
