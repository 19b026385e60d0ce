/** Makes texts from messages and templates harmless: no control, bidirectional or invisible characters, bounded lengths. Pure. */
import { toLine } from "../../runtime/control_characters.ts";
import type { Notice } from "../notice.ts";

/** Longest title, in characters. */
export const MAX_TITLE = 120;
/** Longest text, in characters; its most lines, and their longest. */
export const MAX_TEXT = 4_000;
const MAX_LINES = 60, MAX_LINE = 500;

/** Cuts a text to this many characters (UTF-16 code units); a cut text ends with `…`. */
export function cut(text: string, most: number): string {
  if (text.length <= most) return text;
  // Not between the halves of a surrogate pair.
  return `${text.slice(0, most - 1).replace(/[\uD800-\uDBFF]$/, "")}…`;
}

/** One harmless line, cut to a length. */
export function cleanLine(text: string, most: number): string {
  return cut(toLine(text, most + 1).trim(), most).toWellFormed();
}

/** Harmless lines. Without blank lines at the ends, and without more than one in a row. */
export function cleanText(text: string): string {
  const lines = text.slice(0, 4 * MAX_TEXT).split(/\r\n|[\n\r\u2028\u2029]/).map((line) => cleanLine(line, MAX_LINE));
  return cut(lines.slice(0, MAX_LINES).join("\n").replace(/\n{3,}/g, "\n\n").trim(), MAX_TEXT);
}

/** Escapes a text for a receiver so that the result has at most this many characters; a cut text ends with `…`. */
export function escapeWithin(text: string, most: number, escape: (text: string) => string): string {
  const whole = escape(text);
  if (whole.length <= most) return whole;
  let result = "";
  for (const character of text) {
    const escaped = escape(character);
    if (result.length + escaped.length > most - 1) break;
    result += escaped;
  }
  return `${result}…`;
}

/** The notice as receivers send it. */
export function cleanNotice(notice: Notice): Notice {
  const { incident } = notice;
  return {
    ...notice,
    title: cleanLine(notice.title, MAX_TITLE),
    text: cleanText(notice.text),
    incident: {
      ...incident,
      cause: cleanLine(incident.cause, 64),
      detail: cleanLine(incident.detail, MAX_LINE),
      sources: incident.sources.map((source) => cleanLine(source, 64)),
      groups: incident.groups.map(({ source, count, sample }) => ({
        ...{ source: cleanLine(source, 64), count },
        sample: sample && { id: cleanLine(sample.id, 64), text: cleanLine(sample.text, MAX_LINE) },
      })),
    },
  };
}
