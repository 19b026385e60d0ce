/** The address and login of Redis, and the client options made from them. */
import type { RedisOptions } from "ioredis";
import { parseRedisUrl, type Server } from "../config/redis_url.ts";
import type { Secret } from "../runtime/secret.ts";

/** Timeout for connecting, in milliseconds. */
const CONNECT_TIMEOUT_MS = 5_000;
/** A server has this long to close a connection that we have ended, in milliseconds. Then the client destroys it. */
export const DISCONNECT_TIMEOUT_MS = 100;

/**
 * Timeout for a Sentinel or cluster node that is asked for the address of Redis, in milliseconds; then the next one is
 * asked.
 */
export const FINDER_TIMEOUT_MS = 1_500;

/**
 * The address and login of Redis. `url` overrides the other fields. Secrets, certificates and keys may be getters that return
 * the current content of a file. Each new connection reads them, `caCert`, `clientCert` and `clientKey` in this order.
 */
export interface RedisAddress {
  readonly url: Secret | null;
  readonly host: string;
  readonly port: number;
  readonly db: number;
  readonly username: string;
  readonly password: Secret | null;
  /** Tried when `password` is refused, and the other way round. */
  readonly passwordNext: Secret | null;
  readonly tls: boolean;
  /** PEM text of the certificate authority; empty: the system's authorities. */
  readonly caCert: string;
  /** PEM texts of the client certificate and its key, for a server that asks for one; default: none. */
  readonly clientCert?: string;
  readonly clientKey?: string;
  /** Name that the server's certificate must have; default: the host that the client connects to. */
  readonly serverName?: string;
  /** The Sentinels to ask for the master; without servers, `host` and `port` apply. A URL may name other Sentinels. */
  readonly sentinel?: SentinelGroup | null;
  /** Some nodes of a Redis Cluster; empty: Redis is not a cluster. */
  readonly clusterNodes?: readonly Server[];
}

/** The Sentinels, and the login for them. */
export interface SentinelGroup {
  readonly servers: readonly Server[];
  /** Name of the master in the Sentinels' configuration. */
  readonly master: string;
  readonly username: string;
  readonly password: Secret | null;
}

/** The client's options, without the one that its constructors type more narrowly. */
export type ClientOptions = Omit<RedisOptions, "replyMapping">;

/** Returns options for a client that fails fast while disconnected and never resends a command. They override `options`. */
export function clientOptions(address: RedisAddress, options: ClientOptions): ClientOptions {
  const common: ClientOptions = {
    ...options,
    // The ready check needs INFO, which a strict ACL forbids. A loading server answers LOADING, which is handled.
    enableReadyCheck: false,
    disableClientInfo: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    connectTimeout: CONNECT_TIMEOUT_MS,
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
  };
  const { url, username, password, db } = readUrl(address);
  const tls = hasTls(address) ? tlsOptions(address) : null;
  const withTls = tls ? { tls } : {};
  const login = { ...(username ? { username } : {}), ...(password ? { password } : {}) };
  if (address.clusterNodes?.length) return { ...common, ...login, ...withTls };
  if (url?.path) return { ...common, ...login, path: url.path };
  const named = url?.master ? { servers: url.servers, master: url.master } : null;
  const sentinel = named ?? (url ? null : address.sentinel);
  if (sentinel && sentinel.servers.length > 0) {
    const { username: name, password: secret } = address.sentinel ?? { username: "", password: null };
    const group = { ...sentinel, username: name, password: secret };
    return { ...common, ...login, ...withTls, db, ...sentinelOptions(group, { ...options, ...withTls }) };
  }
  const [server = { host: address.host, port: address.port }] = url?.servers ?? [];
  return { ...common, ...login, ...withTls, ...server, db };
}

/** Returns whether connections use TLS. */
export function hasTls(address: RedisAddress): boolean {
  return readUrl(address).url?.tls ?? address.tls;
}

/** Returns the current values of both passwords. If one is refused, the client tries the other. */
export function passwordsOf(address: RedisAddress): { current: string | undefined; next: string | undefined } {
  return { current: readUrl(address).password, next: address.passwordNext?.reveal() };
}

/** User, password and database in the URL override the other fields. */
function readUrl({ url: text, username, password, db }: RedisAddress) {
  const url = text ? parseRedisUrl(text.reveal()) : undefined;
  if (text && !url) throw new RangeError("Cannot connect: the URL is not a Redis URL");
  return {
    ...{ url, db: url?.db ?? (url ? 0 : db) },
    username: url?.username ?? username,
    password: url?.password ?? password?.reveal(),
  };
}

/** The client's own failover detection is off: it can end a client permanently (ioredis 6). */
function sentinelOptions(
  { servers, master, username, password }: SentinelGroup,
  { retryStrategy, commandTimeout, tls }: ClientOptions,
): ClientOptions {
  return {
    ...{ sentinels: [...servers], name: master, role: "master", failoverDetector: false },
    ...(username ? { sentinelUsername: username } : {}),
    ...(password ? { sentinelPassword: password.reveal() } : {}),
    ...(tls ? { enableTLSForSentinelMode: true, sentinelTLS: tls } : {}),
    ...(retryStrategy ? { sentinelRetryStrategy: retryStrategy } : {}),
    sentinelCommandTimeout: Math.min(commandTimeout ?? FINDER_TIMEOUT_MS, FINDER_TIMEOUT_MS),
  };
}

/**
 * The client copies these options at each connect (ioredis 6, `StandaloneConnector.js`), so each connection uses the
 * current files.
 */
function tlsOptions(address: RedisAddress) {
  return {
    // Overrides NODE_TLS_REJECT_UNAUTHORIZED.
    rejectUnauthorized: true,
    get ca() {
      return address.caCert || undefined;
    },
    get cert() {
      return address.clientCert || undefined;
    },
    get key() {
      return address.clientKey || undefined;
    },
    ...(address.serverName ? { servername: address.serverName } : {}),
  };
}
