/** Writes JSON text the way Python's `json.dumps` does, so that a consumer that reads and writes it changes no byte. */

/** Text that a string literal holds as it is: printable ASCII without quote and backslash. */
const PLAIN_TEXT = /^[ !#-[\]-~]*$/;

/** A string literal in ASCII; everything else as `\uXXXX`, like `ensure_ascii`. */
export function quoteAscii(text: string): string {
  if (PLAIN_TEXT.test(text)) return `"${text}"`;
  return JSON.stringify(text).replace(/[\u007f-\uffff]/g, escapeUnit);
}

/** `"name": value` for each entry, joined by `, `; the values are JSON text already. */
export function membersText(entries: readonly (readonly [name: string, json: string])[]): string {
  return entries.map(([name, json]) => `${quoteAscii(name)}: ${json}`).join(", ");
}

function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
