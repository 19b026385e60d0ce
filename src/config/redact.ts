/** Makes values fit to show: quoted, shortened, without credentials, redacted if they look like a secret. */
import { escapeHidden } from "../runtime/control_characters.ts";

const SHOWN_CHARACTERS = 80;
const HIDDEN = "[redacted]";

/** `user:password` of a URL without its `@`: a port that is not a number. Sentinels are separated by commas. */
const CUT_LOGIN = /^([a-z][a-z0-9+.-]*:\/\/)[^/?#:[\]]*:(?!\d*(?:[/?#,]|$)).*/is;

/**
 * Removes possible credentials from a text: everything before an `@`, the query and fragment of a URL, its user and password if
 * the rest was cut off (by a `#` in the password), a private key. Also works on invalid URLs, because problems are about those.
 */
export function redactCredentials(text: string): string {
  const withoutUser = text.replace(/-----BEGIN .*/s, HIDDEN).replace(/^([a-z][a-z0-9+.-]*:\/\/)?.*@/is, `$1${HIDDEN}@`)
    .replace(CUT_LOGIN, `$1${HIDDEN}`);
  return /^[a-z][a-z0-9+.-]*:/i.test(text) ? withoutUser.replace(/[?#].*/s, `?${HIDDEN}`) : withoutUser;
}

/** Characters between two separators. */
const RUN = /[^\s._:/,;"'-]+/g;
/** A longer run with letters and digits is not a word. */
const SECRET_CHARACTERS = 12;

/**
 * Whether a text looks like a password or key in the wrong place: a long run of letters and digits. A path never does, whatever
 * its folders are called. Short passwords and words cannot be recognized.
 */
export function looksSecret(text: string): boolean {
  if (/^\.{0,2}\//.test(text)) return false;
  const runs = text.match(RUN) ?? [];
  return runs.some((run) => run.length >= SECRET_CHARACTERS && /\d/.test(run) && /[a-z]/i.test(run));
}

/**
 * Quotes a value for a message: credentials redacted, hidden characters escaped, about 80 characters at most; `[redacted]` if it
 * looks like a secret.
 */
export function quote(text: string): string {
  const shown = looksSecret(redactCredentials(text)) ? HIDDEN : redactCredentials(text);
  return escapeHidden(JSON.stringify(shown.length > SHOWN_CHARACTERS ? `${shown.slice(0, SHOWN_CHARACTERS)}…` : shown));
}
