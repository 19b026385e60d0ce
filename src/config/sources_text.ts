/** Writes a sources file in YAML, with comments: what `discover` and `watch` print. `sources_file.ts` reads it. Pure. */
import { escapeHidden } from "../runtime/control_characters.ts";
import type { SourceEntry, SourceMember } from "./source_fields.ts";

/** A source, and what to say about it. */
export interface WrittenSource {
  readonly name: string;
  readonly entry: SourceEntry;
  /** Lines above it. */
  readonly comments?: readonly string[];
  /** What follows a member on its line. */
  readonly notes?: Readonly<Partial<Record<SourceMember, string>>>;
}

/** A value that needs no quotes, in a list either. */
const PLAIN = /^[A-Za-z_](?:[\w.:/-]*\w)?$/;
/** Words that are no strings without quotes. */
const NO_STRING = /^(?:true|false|null|y|n|yes|no|on|off)$/i;

/** Writes the file. `comments`: lines at its top. */
export function formatSources(
  sources: readonly WrittenSource[],
  { comments = [] }: { comments?: readonly string[] } = {},
): string {
  const lines = sources.flatMap(({ name, entry, comments = [], notes = {} }) => [
    ...comments.map((line) => formatComment("  ", line)),
    `  ${formatText(name)}:`,
    ...Object.entries(entry).map(([member, value]) => {
      const note = notes[member as SourceMember];
      return `    ${member}: ${formatValue(value)}${note === undefined ? "" : formatComment(" ", note)}`;
    }),
  ]);
  return [...comments.map((line) => formatComment("", line)), "sources:", ...lines].map((line) => `${line}\n`).join("");
}

/** A comment ends with its line, so nothing in it may end the line. */
function formatComment(before: string, text: string): string {
  return `${before}#${text === "" ? "" : ` ${escapeHidden(text)}`}`;
}

/** A list or an object is written as JSON, which is YAML too. */
function formatValue(value: unknown): string {
  if (typeof value === "string") return formatText(value);
  return Array.isArray(value) ? `[${value.map(formatValue).join(", ")}]` : escapeHidden(JSON.stringify(value));
}

function formatText(text: string): string {
  return PLAIN.test(text) && !NO_STRING.test(text) ? text : escapeHidden(JSON.stringify(text));
}
