/** Parses pages of commands: their `sh` blocks and expected output, and compares that with real output. */

/** A block of `sh`. */
export interface RunbookBlock {
  readonly script: string;
  /** Expected output: the comment lines at its end without `# `. `…` matches anything; alone on a line, any lines. */
  readonly expected: readonly string[];
}

/** A heading and the blocks up to the next one. */
export interface RunbookSection {
  readonly heading: string;
  readonly level: number;
  readonly blocks: readonly RunbookBlock[];
}

/** Parses the sections of a Markdown page, without the text before the first heading. */
export function parseRunbook(page: string): RunbookSection[] {
  return withoutFencedHeadings(page).map(({ level, heading, body }) => ({
    ...{ heading, level },
    blocks: [...body.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, text]) => parseBlock(text!)),
  }));
}

/** A `#` inside a fence is a comment of the shell. */
function withoutFencedHeadings(page: string): { level: number; heading: string; body: string }[] {
  const sections: { level: number; heading: string; body: string }[] = [];
  let isFenced = false;
  for (const line of page.split("\n")) {
    if (line.startsWith("```")) isFenced = !isFenced;
    const [, marks, heading] = (!isFenced && /^(#+) (.*)$/.exec(line)) || [];
    if (heading !== undefined) sections.push({ level: marks!.length, heading, body: "" });
    else if (sections.length > 0) sections.at(-1)!.body += `${line}\n`;
  }
  return sections;
}

function parseBlock(text: string): RunbookBlock {
  const lines = text.trimEnd().split("\n");
  const end = lines.findLastIndex((line) => !/^#(?: |$)/.test(line)) + 1;
  return { script: lines.slice(0, end).join("\n"), expected: lines.slice(end).map((line) => line.slice(2)) };
}

/**
 * Whether the output matches the block's expected output line by line. Runs of blanks count as one, for columns of any
 * width.
 */
export function isAsDocumented(output: string, { expected }: RunbookBlock): boolean {
  const pattern = expected.map((line) => line === "…" ? "(?:.*\n)*" : `${linePattern(narrow(line))}\n`).join("");
  const text = output.trimEnd().split("\n").map((line) => `${narrow(line)}\n`).join("");
  return new RegExp(`^${pattern}$`).test(text);
}

function narrow(line: string): string {
  return line.trimEnd().replace(/ +/g, " ");
}

function linePattern(line: string): string {
  return line.split("…").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(".*");
}

/** Splits a command into words as a shell does, of which it knows blanks, line continuations and both quotes. Pure. */
export function splitWords(command: string): string[] {
  const words = command.replaceAll("\\\n", " ").match(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g) ?? [];
  return words.map((word) => word.replaceAll(/'([^']*)'|"([^"]*)"/g, (_, single, double) => single ?? double));
}
