/** Values as they may be shown: quoted, shortened, without credentials, and not at all where they look like a secret. */
import { escapeHidden } from "../runtime/control_characters.ts";

const SHOWN_CHARACTERS = 80;
const HIDDEN = "[redacted]";

/** What `user:password` of a URL looks like whose `@` is missing: a port that is no number. Sentinels stand with commas between them. */
const CUT_LOGIN = /^([a-z][a-z0-9+.-]*:\/\/)[^/?#:[\]]*:(?!\d*(?:[/?#,]|$)).*/is;

/**
 * A text without what could be a credential in it: what stands before an `@`, the query and fragment of a URL, its user and
 * password where the rest was cut off (a `#` in the password does that), a private key. Works on texts that are no valid URL too,
 * because those are the ones that problems are about.
 */
export function redactCredentials(text: string): string {
  const withoutUser = text.replace(/-----BEGIN .*/s, HIDDEN).replace(/^([a-z][a-z0-9+.-]*:\/\/)?.*@/is, `$1${HIDDEN}@`)
    .replace(CUT_LOGIN, `$1${HIDDEN}`);
  return /^[a-z][a-z0-9+.-]*:/i.test(text) ? withoutUser.replace(/[?#].*/s, `?${HIDDEN}`) : withoutUser;
}

/** What stands between two marks. */
const RUN = /[^\s._:/,;"'-]+/g;
/** A run so long is no word any more. */
const SECRET_CHARACTERS = 12;

/**
 * Whether a text looks like a password or key that somebody put in the wrong place: letters and digits mixed, without a mark
 * between them. A path does not, whatever its folders are called. Passwords that are words or short cannot be told from other values.
 */
export function looksSecret(text: string): boolean {
  if (/^\.{0,2}\//.test(text)) return false;
  const runs = text.match(RUN) ?? [];
  return runs.some((run) => run.length >= SECRET_CHARACTERS && /\d/.test(run) && /[a-z]/i.test(run));
}

/**
 * The text for a message to people: credentials redacted, hidden characters escaped, in quotes, at most some 80 characters; only
 * `[redacted]` where it looks like a secret.
 */
export function quote(text: string): string {
  const shown = looksSecret(redactCredentials(text)) ? HIDDEN : redactCredentials(text);
  return escapeHidden(JSON.stringify(shown.length > SHOWN_CHARACTERS ? `${shown.slice(0, SHOWN_CHARACTERS)}…` : shown));
}
