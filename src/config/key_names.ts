/** What the keys of Redis may be called that settings, flags and the sources file name. Pure. */
import { OWN_PREFIX } from "../message/source_policy.ts";

/** Excludes lone surrogates (`\p{Cs}`): their encoding replaces them, which would yield another key. */
const REST = "[^\\s\\p{Cc}\\p{Cs}]{1,512}$";

/** Pattern of a key. */
export const KEY_PATTERN = `^${REST}`;
/** A valid key; completes "is not". */
export const KEY_WANTS = "a Redis key of 1 to 512 characters without blanks";

/** Pattern of the name of a source's list, which is no key of this service itself. */
export const LIST_KEY_PATTERN = `^(?!${OWN_PREFIX})${REST}`;
/** A valid name of a list; completes "is not". */
export const LIST_KEY_WANTS = `${KEY_WANTS}, other than this service's own (${OWN_PREFIX}…)`;
