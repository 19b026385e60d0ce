/**
 * Classifies failed Redis calls by a closed set of codes. Only this module derives a code from the text of the client or the
 * server; all other code uses {@link StoreError.code}.
 */

/** Every code of a failure. Closed set: metric labels use exactly these. */
export const REDIS_ERROR_CODES = [
  "OOM",
  "READONLY",
  "MASTERDOWN",
  "LOADING",
  "BUSY",
  "NOSCRIPT",
  "NOPERM",
  "NOAUTH",
  "WRONGPASS",
  "MISCONF",
  "NOREPLICAS",
  "CLUSTERDOWN",
  "TRYAGAIN",
  "MOVED",
  "ASK",
  "WRONGTYPE",
  "DENIED",
  "MAXCLIENTS",
  "TLS",
  "TIMEOUT",
  "CONNECTION",
  "OTHER",
] as const;
/** One of {@link REDIS_ERROR_CODES}. */
export type RedisErrorCode = (typeof REDIS_ERROR_CODES)[number];

/** Codes of failures that may end without a change of permissions, keys or limits. */
const RETRYABLE: ReadonlySet<RedisErrorCode> = new Set<RedisErrorCode>([
  ...["LOADING", "BUSY", "NOAUTH", "WRONGPASS", "CLUSTERDOWN", "TRYAGAIN", "TIMEOUT", "CONNECTION"] as const,
]);

/** Returns whether a retry may succeed without an operator's help. */
export function isRetryable(code: RedisErrorCode): boolean {
  return RETRYABLE.has(code);
}

/** Errors that neither Redis nor the client raises: bugs. */
const BUGS = [TypeError, RangeError, ReferenceError];

/** A failed call of a store. Its message is safe to show (see {@link describeRedisError}). */
export class StoreError extends Error {
  override readonly name = "StoreError";
  readonly code: RedisErrorCode;
  /** Whether the call certainly changed nothing; false: it may have run. */
  readonly isCertain: boolean;

  /** For `src/redis` only. */
  constructor(
    text: string,
    { code, isCertain, cause }: { code: RedisErrorCode; isCertain: boolean; cause?: unknown },
  ) {
    super(text, { cause });
    this.code = code;
    this.isCertain = isCertain;
  }

  /** See {@link isRetryable}. */
  get retryable(): boolean {
    return isRetryable(this.code);
  }
}

/** Converts a rejection of the client to a {@link StoreError}; returns a `StoreError` unchanged. Never throws. */
export function toStoreError(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  // An error reply is certain: a command or script that the server refuses has changed nothing.
  const isCertain = error instanceof Error && error.name === "ReplyError";
  return new StoreError(describeRedisError(error), { code: redisErrorCode(error), isCertain, cause: error });
}

/** Rethrows a rejection of the client; use it in `catch`. @throws a {@link StoreError}, or the error itself if it is a bug */
export function throwStoreError(error: unknown): never {
  throw BUGS.some((kind) => error instanceof kind) ? error : toStoreError(error);
}

/** Returns the error for keys that hold a value of the wrong type. The script that found it changed nothing. */
export function wrongTypeError(text: string): StoreError {
  return new StoreError(text, { code: "WRONGTYPE", isCertain: true });
}

/** Returns the error for a reply that no script of ours sends, but a proxy may. It is not known whether the script ran. */
export function unknownAnswer(reply: unknown): StoreError {
  const shown = JSON.stringify(String(reply).slice(0, 100));
  return new StoreError(`Redis answered ${shown}, which no script or read of this program returns`, {
    code: "OTHER",
    isCertain: false,
  });
}

/** The server's codes. They may be anywhere in the text: Redis 6 puts them after `ERR Error running script …: -`. */
const SERVER_CODE =
  /\b(OOM|READONLY|MASTERDOWN|LOADING|BUSY|NOSCRIPT|NOPERM|NOAUTH|WRONGPASS|MISCONF|NOREPLICAS|CLUSTERDOWN|TRYAGAIN|MOVED|ASK|WRONGTYPE|DENIED)\b/;
/**
 * In a script, a missing permission has no code: the texts of Redis 6 and 7.0, then of 7.2, 8 and Valkey. These name the user, who may be
 * called like a code.
 */
const SCRIPT_PERMISSION = /user executing the script can't|ACL failure in script/i;
/** Redis (`networking.c`) sends this before it closes the connection. */
const TOO_MANY_CLIENTS = /max number of clients/i;
/** Failed TLS handshakes: codes of node:tls, texts of rustls, and the text of Deno 2.6 (`write UNKNOWN`). */
const NO_TLS =
  /\bERR_(?:TLS|SSL|OSSL)_|\bCERT_|SELF_SIGNED_CERT|UNABLE_TO_(?:VERIFY|GET)_|received fatal alert|corrupt message|write UNKNOWN/;
/** ioredis 6: `Command.js` (command), `Redis.js` (`connect ETIMEDOUT`, `Socket timeout`), `utils/index.js` (slot map). */
const TIMED_OUT = /Command timed out|Socket timeout|\bETIMEDOUT\b|^timeout$/;
/**
 * ioredis 6 (`Redis.js`, `event_handler.js`, `MaxRetriesPerRequestError.js`), codes of node:net and node:dns, and
 * Deno's text for sockets.
 */
const DISCONNECTED =
  /Connection is closed|Requires write access|refresh slots cache|startup nodes|Cluster isn't ready|Cluster is (?:ended|disconnect)|sentinels are unreachable|connection close|isn't writeable|max retries per request|\b(?:ECONN(?:REFUSED|RESET|ABORTED)|EPIPE|ENOTFOUND|ENOENT|ENOTDIR|EACCES|EAI_AGAIN|E(?:HOST|NET)UNREACH)\b/;

/** ioredis 6 names its own option when a command finds no connection or loses it (`MaxRetriesPerRequestError.js`). */
const LOST = /max retries per request/;

/** Returns the code of a failed Redis call; `OTHER` if no other code matches. Pure, never throws. */
export function redisErrorCode(error: unknown): RedisErrorCode {
  if (error instanceof StoreError) return error.code;
  const text = describe(error);
  if (SCRIPT_PERMISSION.test(text)) return "NOPERM";
  const code = SERVER_CODE.exec(text)?.[1];
  if (code !== undefined) return code as RedisErrorCode;
  if (TOO_MANY_CLIENTS.test(text)) return "MAXCLIENTS";
  if (NO_TLS.test(text)) return "TLS";
  if (TIMED_OUT.test(text)) return "TIMEOUT";
  return DISCONNECTED.test(text) ? "CONNECTION" : "OTHER";
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // A refused connection to a name with two addresses is an AggregateError, which has a code but no message.
  const code = (error as Error & { code?: unknown }).code;
  return typeof code === "string" ? `${error.message} ${code}` : error.message;
}

/** A failure's text is cut to this length, in characters. */
const SHOWN_CHARACTERS = 300;

/**
 * Describes a failure in one line that is safe to show. It omits the arguments that the server quotes from an unknown command:
 * if AUTH was renamed or a proxy does not have it, they contain the password. Pure, never throws.
 */
export function describeRedisError(error: unknown): string {
  const text = error instanceof Error && error.message !== "" ? error.message : describe(error);
  if (LOST.test(text)) return "there was no connection, or it was lost before the reply";
  return text.split(/\r|\n|,? *with args beginning with/i, 1)[0]!.trim().slice(0, SHOWN_CHARACTERS);
}
