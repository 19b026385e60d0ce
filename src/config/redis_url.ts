/** Parses a URL of Redis. Pure. */

/** A server's name or address, and its port. */
export interface Server {
  readonly host: string;
  readonly port: number;
}

/** The parts of a URL; `null` for those that it does not have. */
export interface RedisUrl {
  /** As it begins: `redis:`, `rediss+sentinel:`, `unix:`, … */
  readonly scheme: string;
  readonly tls: boolean;
  /** The server; the Sentinels if `master` is set; empty if `path` is set. */
  readonly servers: readonly Server[];
  /** Name under which Sentinels know the master. */
  readonly master: string | null;
  /** Path of a Unix socket. */
  readonly path: string | null;
  readonly db: number | null;
  readonly username: string | null;
  readonly password: string | null;
}

/** Default port of a server. */
export const REDIS_PORT = 6_379;
const SENTINEL_PORT = 26_379;

/** Highest database number. Redis itself is limited by its `databases` setting. */
export const MAX_DB = 65_535;

/**
 * Parses a URL, `undefined` if it is invalid. A query is refused because the client has no options there, and a fragment because
 * a password with a `#` that is not written as `%23` would name another host.
 */
export function parseRedisUrl(text: string): RedisUrl | undefined {
  // `URL` silently drops line feeds and tabs.
  if (/[\p{Cc}#]/u.test(text)) return undefined;
  const scheme = /^[a-z+]+:/i.exec(text)?.[0].toLowerCase();
  if (scheme === "unix:") return parseSocket(text);
  if (scheme === "redis:" || scheme === "rediss:") return parseServer(text, scheme);
  return scheme === "redis+sentinel:" || scheme === "rediss+sentinel:" ? parseSentinels(text, scheme) : undefined;
}

/** Parses a comma-separated list of `host:port`, `undefined` if it is invalid. IPv6 addresses are in brackets. */
export function parseServers(text: string, defaultPort = SENTINEL_PORT): readonly Server[] | undefined {
  const servers = text.split(",").map((part) => parseHostPort(part.trim(), defaultPort));
  return servers.every((server) => server !== undefined) ? servers : undefined;
}

const NOTHING = { tls: false, servers: [], master: null, path: null, db: null, username: null, password: null };

function parseSocket(text: string): RedisUrl | undefined {
  const path = /^unix:\/\/(\/[^?#]+)$/i.exec(text)?.[1];
  return path === undefined ? undefined : { ...NOTHING, scheme: "unix:", path };
}

function parseServer(text: string, scheme: string): RedisUrl | undefined {
  const url = URL.parse(text);
  const db = /^\/?(\d*)$/.exec(url?.pathname ?? "?")?.[1];
  if (!url || url.hostname === "" || url.port === "0" || url.search !== "") return undefined;
  if (db === undefined || Number(db) > MAX_DB) return undefined;
  const [username, password] = [decode(url.username), decode(url.password)];
  if (username === undefined || password === undefined) return undefined;
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const servers = [{ host, port: url.port === "" ? REDIS_PORT : Number(url.port) }];
  return { ...NOTHING, scheme, tls: scheme === "rediss:", servers, db: toDb(db), username, password };
}

/** `redis+sentinel://user:password@host:port,host:port/master/database`; the login is for Redis itself. */
function parseSentinels(text: string, scheme: string): RedisUrl | undefined {
  const parts = /^[^:]+:\/\/(?:([^@/]*)@)?([^@/?#]+)\/([^/?#]+)(?:\/(\d+))?\/?$/.exec(text);
  if (!parts) return undefined;
  const [, login = "", hosts, name, db = ""] = parts;
  const servers = parseServers(hosts!), master = decode(name!);
  const colon = login.indexOf(":");
  const username = decode(colon < 0 ? login : login.slice(0, colon));
  const password = decode(colon < 0 ? "" : login.slice(colon + 1));
  if (!servers || !master || username === undefined || password === undefined) return undefined;
  if (Number(db) > MAX_DB) return undefined;
  return { ...NOTHING, scheme, tls: scheme.startsWith("rediss"), servers, master, db: toDb(db), username, password };
}

function parseHostPort(text: string, defaultPort: number): Server | undefined {
  const parts = /^(?:\[([0-9a-f:.%\w]+)\]|([\w.-]{1,253}))(?::(\d{1,5}))?$/i.exec(text);
  if (!parts) return undefined;
  const port = parts[3] === undefined ? defaultPort : Number(parts[3]);
  return port >= 1 && port <= 65_535 ? { host: parts[1] ?? parts[2]!, port } : undefined;
}

function toDb(digits: string): number | null {
  return digits === "" ? null : Number(digits);
}

/** `null` for an empty text, `undefined` for invalid percent-encoding. */
function decode(part: string): string | null | undefined {
  try {
    return part === "" ? null : decodeURIComponent(part);
  } catch {
    return undefined;
  }
}
