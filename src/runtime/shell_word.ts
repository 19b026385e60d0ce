/** Words for commands that people copy into a shell. Pure. */

/** Quotes a text if a shell would not take it for one word as it is. */
export function shellWord(text: string): string {
  return /^[\w:./@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
