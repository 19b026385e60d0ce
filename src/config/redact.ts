/** Values as they may be shown: quoted, shortened, and without credentials. */

const SHOWN_CHARACTERS = 80;

/**
 * A text without what could be a credential in it: what stands before an `@`, and the query and fragment of a URL. Works on
 * texts that are no valid URL too, because those are the ones that problems are about.
 */
export function redactCredentials(text: string): string {
  const withoutUser = text.replace(/^([a-z][a-z0-9+.-]*:\/\/)?.*@/is, "$1[redacted]@");
  return /^[a-z][a-z0-9+.-]*:/i.test(text) ? withoutUser.replace(/[?#].*/s, "?[redacted]") : withoutUser;
}

/** The text for a message to people: credentials redacted, control characters escaped, in quotes, at most some 80 characters. */
export function quote(text: string): string {
  const shown = redactCredentials(text);
  const json = JSON.stringify(shown.length > SHOWN_CHARACTERS ? `${shown.slice(0, SHOWN_CHARACTERS)}…` : shown);
  // Those that `JSON.stringify` lets through.
  return json.replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
