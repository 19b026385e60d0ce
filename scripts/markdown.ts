/** Pieces of generated Markdown. */

/** A text in the font of code. */
export function code(text: string): string {
  return `\`${text}\``;
}

/** Builds a Markdown table with aligned columns, as `deno fmt` formats it. */
export function renderTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, at) => Math.max(3, title.length, ...rows.map((row) => row[at]!.length)));
  const line = (cells: readonly string[]) => `| ${cells.map((cell, at) => cell.padEnd(widths[at]!)).join(" | ")} |\n`;
  return line(head) + line(widths.map((width) => "-".repeat(width))) + rows.map(line).join("");
}
