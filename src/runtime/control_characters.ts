/** Escapes characters that could forge a line, control a terminal, or reverse the displayed text. */

/**
 * Control characters, line and paragraph separators, and format characters: bidirectional (U+202E, U+2066) or
 * invisible.
 */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Replaces hidden characters with JSON escapes. Returns other text unchanged. */
export function escapeHidden(text: string): string {
  return text.replace(HIDDEN, (character) => {
    const escaped = JSON.stringify(character).slice(1, -1);
    return escaped === character ? character.split("").map(escapeUnit).join("") : escaped;
  });
}

function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** Makes one line of a text from outside, of at most `most` UTF-16 code units: runs of hidden characters become a space. */
export function toLine(text: string, most: number): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ").slice(0, most);
}
