/** Which build this is. */

/** The version; `CHANGELOG.md` says what it brought. */
export const VERSION = "0.1.0";
/** The commit that the binary was compiled from; `unknown` where it runs from source. */
export const COMMIT = "unknown";
