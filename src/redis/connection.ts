/** Connections to Redis: one that reads, one that commits, more on request (a source's own, a subscriber's); with back-off, for ever. */
import { Redis, type RedisOptions } from "ioredis";
import { parseRedisUrl, type Server } from "../config/redis_url.ts";
import type { Secret } from "../config/secret.ts";
import type { Log } from "../observability/log.ts";
import type { Clock } from "../runtime/clock.ts";
import type { RandomFraction } from "../runtime/random.ts";
import { describeRedisError, redisErrorCode } from "./errors.ts";

/** How long a command may take, in milliseconds, before its caller is told that it timed out. */
export const COMMAND_TIMEOUT_MS = 5_000;
/** How much longer than a command a connection may be without any data that it waits for, in milliseconds. */
const SOCKET_MARGIN_MS = 1_000;
/** Longest pause between attempts to connect, in milliseconds. */
const MAX_RETRY_MS = 5_000;

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
}

/** The Sentinels, and how to log in with them. */
export interface SentinelGroup {
  readonly servers: readonly Server[];
  /** Name under which they know the master. */
  readonly master: string;
  readonly username: string;
  readonly password: Secret | null;
}

/** What {@link RedisConnections} needs. */
export interface ConnectionDeps {
  readonly clock: Clock;
  readonly random: RandomFraction;
  readonly log: Log;
  /** Called each time a connection that was lost is there again. */
  readonly onReconnect: () => void;
  /** How long a command may take; default {@link COMMAND_TIMEOUT_MS}. */
  readonly commandTimeoutMs?: number;
}

/** The service's connections. They connect in the background from the start, and again whenever they are lost. */
export class RedisConnections {
  /** For what may be asked twice. */
  readonly reader: Redis;
  /** For what must run at most once: nothing is queued while disconnected, nothing is resent. */
  readonly committer: Redis;
  readonly #address: RedisAddress;
  readonly #deps: ConnectionDeps;
  readonly #all = new Set<Redis>();
  /** Without which nothing moves; `#joining` until it was ready once, so that a new source does not hold the others. */
  readonly #needed = new Set<Redis>();
  readonly #joining = new Set<Redis>();
  #downSinceMs: number | null;
  #everUp = false;
  #lastError = "";
  /** Variable of the password that was last told to be tried. */
  #toldPassword = "";
  #closing = false;

  constructor(address: RedisAddress, deps: ConnectionDeps) {
    this.#address = address;
    this.#deps = deps;
    this.#downSinceMs = deps.clock.monotonicMs();
    this.reader = this.open("reader");
    this.committer = this.open("committer");
    this.#needed.add(this.reader).add(this.committer);
  }

  /** Every connection that is not closed for good. */
  list(): readonly Redis[] {
    return [...this.#all];
  }

  /** Whether every connection that messages need can take commands, and this one of a source's own. */
  isReady(own?: Redis): boolean {
    for (const { status } of this.#needed) if (status !== "ready") return false;
    return own === undefined || own.status === "ready";
  }

  /** Code of the last failure to connect (`CONNECTION`, `WRONGPASS`, …), empty before any. */
  lastErrorCode(): string {
    return this.#lastError;
  }

  /** One more connection that messages need. Closed with the others, or by {@link release}. */
  openNeeded(role: string): Redis {
    const redis = this.open(role);
    this.#joining.add(redis);
    redis.once("ready", () => this.#joining.delete(redis) && this.#needed.add(redis));
    return redis;
  }

  /** Closes one that was opened, before the others. Safe to call twice. */
  release(redis: Redis): void {
    for (const connections of [this.#needed, this.#joining, this.#all]) connections.delete(redis);
    if (redis.status !== "end") redis.disconnect();
    // It may have been the only one that was down.
    if (!this.#closing) this.#ready();
  }

  /** One more connection, for subscriptions; closed with the others. */
  open(role: string): Redis {
    const commandTimeout = this.#deps.commandTimeoutMs ?? COMMAND_TIMEOUT_MS;
    const redis = connect(this.#address, {
      connectionName: `mutt-remediation:${role}`,
      commandTimeout,
      // A path that swallows everything, or a Redis that is stopped: connect again.
      socketTimeout: commandTimeout + SOCKET_MARGIN_MS,
      retryStrategy: (attempt) => this.#backoff(attempt),
      reconnectOnError: (error) => this.#isDemoted(error, redis),
    });
    redis.on("error", (error: Error) => this.#failed(redis, error));
    redis.on("close", () => this.#all.has(redis) && this.#lost());
    redis.on("ready", () => this.#ready());
    this.#all.add(redis);
    return redis;
  }

  /** Resolves with whether the connections became ready within `timeoutMs`. */
  async waitUntilReady(timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
    const deadlineMs = this.#deps.clock.monotonicMs() + timeoutMs;
    while (!this.isReady() || this.#joining.size > 0) {
      const leftMs = deadlineMs - this.#deps.clock.monotonicMs();
      if (leftMs <= 0 || signal?.aborted) return false;
      await this.#deps.clock.sleep(Math.min(20, leftMs), signal);
    }
    return true;
  }

  /** Closes every connection at once. What is in flight rejects. Safe to call twice. */
  close(): void {
    this.#closing = true;
    // A second disconnect of a client that has ended leaves a timer behind (ioredis 6).
    for (const redis of this.#all) if (redis.status !== "end") redis.disconnect();
  }

  /** A master that became a replica: every connection is made again, to wherever the name leads now. */
  #isDemoted(error: Error, failing: Redis): boolean {
    if (!error.message.includes("READONLY")) return false;
    for (const redis of this.#all) if (redis !== failing && redis.status === "ready") redis.disconnect(true);
    return true;
  }

  #backoff(attempt: number): number {
    const longest = Math.min(MAX_RETRY_MS, 50 * 2 ** Math.min(attempt, 10));
    return Math.round(longest * (0.5 + this.#deps.random() / 2));
  }

  #failed(redis: Redis, error: Error): void {
    const code = redisErrorCode(error);
    const refused = code === "WRONGPASS" || code === "NOAUTH";
    if (code !== this.#lastError && this.#downSinceMs !== null) {
      this.#deps.log.warning("redis_unreachable", `Redis cannot be used (${code}); trying again`, {
        error_code: code,
        reason: describeRedisError(error),
      });
    }
    this.#lastError = code;
    if (refused) this.#tryOtherPassword(redis);
    // Half a handshake is none: a client whose SELECT was refused would go on in database 0.
    else if (redis.status === "connect") redis.disconnect(true);
  }

  /** Each connection alternates for itself, so that two that are refused at once do not undo each other. */
  #tryOtherPassword(redis: Redis): void {
    const [current, next] = [this.#address.password?.reveal(), this.#address.passwordNext?.reveal()];
    if (current !== undefined && next !== undefined) {
      const isCurrent = redis.options.password === current;
      redis.options.password = isCurrent ? next : current;
      this.#tellOtherPassword(isCurrent ? "REDIS_PASS_NEXT" : "REDIS_PASS_CURRENT");
    }
    redis.disconnect(true);
  }

  #tellOtherPassword(variable: string): void {
    if (this.#toldPassword !== "") return;
    this.#toldPassword = variable;
    this.#deps.log.warning("redis_password_refused", `Redis refused the password; trying ${variable}`, { variable });
  }

  #lost(): void {
    if (this.#closing || this.#downSinceMs !== null) return;
    this.#downSinceMs = this.#deps.clock.monotonicMs();
    this.#lastError = "";
    this.#deps.log.warning("redis_lost", "The connection to Redis was lost; trying again");
  }

  #ready(): void {
    if (this.#downSinceMs === null || !this.isReady()) return;
    const outageMs = Math.round(this.#deps.clock.monotonicMs() - this.#downSinceMs);
    this.#downSinceMs = null;
    this.#toldPassword = "";
    this.#lastError = "";
    if (this.#everUp) this.#deps.onReconnect();
    this.#deps.log.info("redis_ready", this.#everUp ? "Redis can be used again" : "Connected to Redis", {
      outage_seconds: outageMs / 1_000,
    });
    this.#everUp = true;
  }
}

/** The client's options; without the one that its constructors type more narrowly. */
type Options = Omit<RedisOptions, "replyMapping">;

/** Opens a client that fails fast while disconnected and never sends a command twice. */
function connect(address: RedisAddress, options: Options): Redis {
  const common: Options = {
    ...options,
    // The ready check needs INFO, which a careful ACL forbids; a loading server answers LOADING, which is handled.
    enableReadyCheck: false,
    disableClientInfo: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    connectTimeout: COMMAND_TIMEOUT_MS,
    disconnectTimeout: 100,
  };
  const { url, username, password, db } = readUrl(address);
  const tls = (url?.tls ?? address.tls) ? tlsOptions(address) : null;
  const withTls = tls ? { tls } : {};
  const login = { ...(username ? { username } : {}), ...(password ? { password } : {}) };
  if (url?.path) return new Redis({ ...common, ...login, path: url.path });
  const named = url?.master ? { servers: url.servers, master: url.master } : null;
  const sentinel = named ?? (url ? null : address.sentinel);
  if (sentinel && sentinel.servers.length > 0) {
    const { username: name, password: secret } = address.sentinel ?? { username: "", password: null };
    const group = { ...sentinel, username: name, password: secret };
    return new Redis({ ...common, ...login, ...withTls, db, ...sentinelOptions(group, { ...options, ...withTls }) });
  }
  const [server = { host: address.host, port: address.port }] = url?.servers ?? [];
  return new Redis({ ...common, ...login, ...withTls, ...server, db });
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
  { retryStrategy, commandTimeout, tls }: Options,
): Options {
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
    ...(caCert ? { ca: caCert } : {}),
    ...(clientCert && clientKey ? { cert: clientCert, key: clientKey } : {}),
    ...(serverName ? { servername: serverName } : {}),
  };
}
