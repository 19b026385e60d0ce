/**
 * What a failed Redis call means: one closed set of codes. Only this module reads a code from a text, that of the client or the
 * server; everything else goes by {@link StoreError.code}.
 */

/** Every code under which a failure is counted. Closed: metric labels use exactly these. */
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

/** Codes of failures that end without anybody changing a right, a key or a limit: ask again. */
const RETRYABLE: ReadonlySet<RedisErrorCode> = new Set<RedisErrorCode>([
  ...["LOADING", "BUSY", "NOAUTH", "WRONGPASS", "CLUSTERDOWN", "TRYAGAIN", "TIMEOUT", "CONNECTION"] as const,
]);

/** Whether waiting is enough for a failure of this code to end. */
export function isRetryable(code: RedisErrorCode): boolean {
  return RETRYABLE.has(code);
}

/** What neither Redis nor the client answers with: a bug of ours. */
const BUGS = [TypeError, RangeError, ReferenceError];

/** A failed call of a store. Its message is fit to be shown (see {@link describeRedisError}). */
export class StoreError extends Error {
  override readonly name = "StoreError";
  readonly code: RedisErrorCode;
  /** Whether the call certainly changed nothing; false: nobody knows whether it ran. */
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

/** What a call of the client was rejected with, as a {@link StoreError}; one that is one already as it is. Never throws. */
export function toStoreError(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  // An answer of the server is certain: a command or script that it refuses has changed nothing.
  const isCertain = error instanceof Error && error.name === "ReplyError";
  return new StoreError(describeRedisError(error), { code: redisErrorCode(error), isCertain, cause: error });
}

/** For `catch` of a call of the client. @throws a {@link StoreError}, or the error itself where it is a bug */
export function throwStoreError(error: unknown): never {
  throw BUGS.some((kind) => error instanceof kind) ? error : toStoreError(error);
}

/** Some keys hold another kind of value than ours: a script has seen that and changed nothing. */
export function wrongTypeError(text: string): StoreError {
  return new StoreError(text, { code: "WRONGTYPE", isCertain: true });
}

/** The server's own codes; Redis 6 puts them behind `ERR Error running script …: -`, so anywhere in the text. */
const SERVER_CODE =
  /\b(OOM|READONLY|MASTERDOWN|LOADING|BUSY|NOSCRIPT|NOPERM|NOAUTH|WRONGPASS|MISCONF|NOREPLICAS|CLUSTERDOWN|TRYAGAIN|MOVED|ASK|WRONGTYPE|DENIED)\b/;
/** Inside a script a missing permission is told in words only: Redis 6 and 7.0, then 7.2, 8 and Valkey. */
const SCRIPT_PERMISSION = /user executing the script can't|ACL failure in script/i;
/** Redis: `networking.c`, sent before the connection is closed. */
const TOO_MANY_CLIENTS = /max number of clients/i;
/** A handshake that failed: by the codes of node:tls, in rustls' words, as Deno 2.6 has it (`write UNKNOWN`). */
const NO_TLS =
  /\bERR_(?:TLS|SSL|OSSL)_|\bCERT_|SELF_SIGNED_CERT|UNABLE_TO_(?:VERIFY|GET)_|received fatal alert|corrupt message|write UNKNOWN/;
/** ioredis 6: `Command.js` (command), `Redis.js` (`connect ETIMEDOUT`, `Socket timeout`). */
const TIMED_OUT = /Command timed out|Socket timeout|\bETIMEDOUT\b/;
/** ioredis 6: `Redis.js`, `event_handler.js`, `MaxRetriesPerRequestError.js`, and the codes of node:net and node:dns; Deno of a socket. */
const DISCONNECTED =
  /Connection is closed|Requires write access|refresh slots cache|startup nodes|Cluster isn't ready|Cluster is (?:ended|disconnect)|sentinels are unreachable|connection close|isn't writeable|max retries per request|\b(?:ECONN(?:REFUSED|RESET|ABORTED)|EPIPE|ENOTFOUND|ENOENT|ENOTDIR|EACCES|EAI_AGAIN|E(?:HOST|NET)UNREACH)\b/;

/** The code of a failure that a Redis call was rejected with; `OTHER` for what is not in the set. Pure, never throws. */
export function redisErrorCode(error: unknown): RedisErrorCode {
  if (error instanceof StoreError) return error.code;
  const text = describe(error);
  const code = SERVER_CODE.exec(text)?.[1];
  if (code !== undefined) return code as RedisErrorCode;
  if (SCRIPT_PERMISSION.test(text)) return "NOPERM";
  if (TOO_MANY_CLIENTS.test(text)) return "MAXCLIENTS";
  if (NO_TLS.test(text)) return "TLS";
  if (TIMED_OUT.test(text)) return "TIMEOUT";
  return DISCONNECTED.test(text) ? "CONNECTION" : "OTHER";
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // A refused connection to a name with two addresses is an AggregateError: no message, only a code.
  const code = (error as Error & { code?: unknown }).code;
  return typeof code === "string" ? `${error.message} ${code}` : error.message;
}

/** Longest text of a failure that is shown, in characters. */
const SHOWN_CHARACTERS = 300;

/**
 * A failure's text as it may be shown: one line, without what the server quotes of a command that it does not know. Where AUTH was
 * renamed, or a proxy has none, that is the password. Pure, never throws.
 */
export function describeRedisError(error: unknown): string {
  const text = error instanceof Error && error.message !== "" ? error.message : describe(error);
  return text.split(/\r|\n|,? *with args beginning with/i, 1)[0]!.trim().slice(0, SHOWN_CHARACTERS);
}
