/** Lays out JSON text for reading. Every literal stays as it is written. Pure. */

const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s{}[\],:"]+/g;
const INDENT = "  ";
/** Deeper containers stay on one line: their indentation would be longer than they are. */
const MAX_INDENTED = 32;

/** Returns JSON text with one member or item a line. Text that is not JSON is returned in some layout. */
export function prettyJson(text: string): string {
  let pretty = "", depth = 0, last = "";
  const breakLine = () => depth <= MAX_INDENTED ? pretty += `\n${INDENT.repeat(depth)}` : undefined;
  for (const [token] of text.matchAll(TOKEN)) {
    const closes = token === "}" || token === "]";
    if (closes) depth = Math.max(0, depth - 1);
    const isEmpty = closes && (last === "{" || last === "[");
    if ((closes && !isEmpty) || (!closes && (last === "{" || last === "[" || last === ","))) breakLine();
    pretty += token === ":" ? ": " : token;
    if (token === "{" || token === "[") depth++;
    last = token;
  }
  return pretty;
}
