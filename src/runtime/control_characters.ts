/** Characters that do not show what they do: they could forge a line, drive a terminal, or turn the order of what is read around. */

/** Controls, line and paragraph separators, and format characters: bidirectional ones (U+202E, U+2066), invisible ones. */
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Each of them as an escape of JSON; a text with none of them is the same. */
export function escapeHidden(text: string): string {
  return text.replace(HIDDEN, (character) => {
    const escaped = JSON.stringify(character).slice(1, -1);
    return escaped === character ? character.split("").map(escapeUnit).join("") : escaped;
  });
}

function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
