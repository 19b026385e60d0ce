/** Where Redis is and how to log in, and what the client is told of it. */
import type { RedisOptions } from "ioredis";
import { parseRedisUrl, type Server } from "../config/redis_url.ts";
import type { Secret } from "../runtime/secret.ts";

/** How long connecting may take, in milliseconds. */
const CONNECT_TIMEOUT_MS = 5_000;

/** How long one of several servers that tell where Redis is (a Sentinel, a cluster's node) may take before the next is asked. */
export const FINDER_TIMEOUT_MS = 1_500;

/**
 * Where Redis is and how to log in. `url` wins over the other fields. Secrets, certificates and keys may be getters of what a
 * file holds now: they are read whenever a connection is made, `caCert`, `clientCert` and `clientKey` in this order.
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
  /** PEM text of the certificate authority; empty: the system's own. */
  readonly caCert: string;
  /** PEM texts of this client's certificate and its key, where the server asks for one; default: there is none. */
  readonly clientCert?: string;
  readonly clientKey?: string;
  /** Name that the server's certificate must have; default: the name or address that is connected to. */
  readonly serverName?: string;
  /** Who knows where the master is; without servers nobody does, and host and port say it. A URL may name others. */
  readonly sentinel?: SentinelGroup | null;
  /** Some nodes of a cluster; without any there is none. */
  readonly clusterNodes?: readonly Server[];
}

/** The Sentinels, and how to log in with them. */
export interface SentinelGroup {
  readonly servers: readonly Server[];
  /** Name under which they know the master. */
  readonly master: string;
  readonly username: string;
  readonly password: Secret | null;
}

/** The client's options; without the one that its constructors type more narrowly. */
export type ClientOptions = Omit<RedisOptions, "replyMapping">;

/** The options of a client that fails fast while disconnected and never sends a command twice; behind those given. */
export function clientOptions(address: RedisAddress, options: ClientOptions): ClientOptions {
  const common: ClientOptions = {
    ...options,
    // The ready check needs INFO, which a careful ACL forbids; a loading server answers LOADING, which is handled.
    enableReadyCheck: false,
    disableClientInfo: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    connectTimeout: CONNECT_TIMEOUT_MS,
    disconnectTimeout: 100,
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

/** Whether the connections have TLS. */
export function hasTls(address: RedisAddress): boolean {
  return readUrl(address).url?.tls ?? address.tls;
}

/** The passwords as they are now; `next` is tried when `current` is refused, and the other way round. */
export function passwordsOf(address: RedisAddress): { current: string | undefined; next: string | undefined } {
  return { current: readUrl(address).password, next: address.passwordNext?.reveal() };
}

/** What the URL says about user, password and database wins. */
function readUrl({ url: text, username, password, db }: RedisAddress) {
  const url = text ? parseRedisUrl(text.reveal()) : undefined;
  if (text && !url) throw new RangeError("Cannot connect: the URL is none of Redis");
  return {
    ...{ url, db: url?.db ?? (url ? 0 : db) },
    username: url?.username ?? username,
    password: url?.password ?? password?.reveal(),
  };
}

/** The client's own failover detection is left off: it can end a client for good (ioredis 6). */
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

/** The client copies these whenever it connects (ioredis 6, `StandaloneConnector.js`), so each connection gets what the files hold then. */
function tlsOptions(address: RedisAddress) {
  return {
    // Else NODE_TLS_REJECT_UNAUTHORIZED would decide.
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
