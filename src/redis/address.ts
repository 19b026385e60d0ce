/** Where Redis is and how to log in, and what the client is told of it. */
import type { RedisOptions } from "ioredis";
import { parseRedisUrl, type Server } from "../config/redis_url.ts";
import type { Secret } from "../config/secret.ts";

/** How long connecting may take, in milliseconds. */
const CONNECT_TIMEOUT_MS = 5_000;

/** Where Redis is and how to log in. `url` wins over the other fields. */
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
  const tls = (url?.tls ?? address.tls) ? tlsOptions(address) : null;
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
    ...(commandTimeout ? { sentinelCommandTimeout: commandTimeout } : {}),
  };
}

function tlsOptions({ caCert, clientCert, clientKey, serverName }: RedisAddress) {
  return {
    // Else NODE_TLS_REJECT_UNAUTHORIZED would decide.
    rejectUnauthorized: true,
    ...(caCert ? { ca: caCert } : {}),
    ...(clientCert && clientKey ? { cert: clientCert, key: clientKey } : {}),
    ...(serverName ? { servername: serverName } : {}),
  };
}
