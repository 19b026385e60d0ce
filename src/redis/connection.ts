/** Connections to Redis: one reads, one commits; sources and subscribers open more. All reconnect for ever, with backoff. */
import { type Cluster, Redis } from "ioredis";
import { OutageLog } from "../lifecycle/outage_log.ts";
import type { Log } from "../observability/log.ts";
import type { Clock } from "../runtime/clock.ts";
import type { RandomFraction } from "../runtime/random.ts";
import type { Server } from "../config/redis_url.ts";
import { type ClientOptions, clientOptions, hasTls, passwordsOf, type RedisAddress } from "./address.ts";
import { explainRedisError } from "./advice.ts";
import { Attempts, CUTS_AT_ONCE } from "./attempts.ts";
import { openCluster, type RedisClient, SlotOwner, SlotRefresh, unowned } from "./cluster.ts";
import { disconnect } from "./disconnect.ts";
import { describeRedisError, type RedisErrorCode, redisErrorCode, StoreError, toStoreError } from "./errors.ts";
import { hearFirstWords } from "./first_words.ts";
import { KeepAlive } from "./keep_alive.ts";
import { findConnectionFault } from "./connection_fault.ts";
import { MasterWatch } from "./master_watch.ts";

/** Default timeout of a command, in milliseconds. */
export const COMMAND_TIMEOUT_MS = 5_000;
/** A connection that waits for data times out this much later than a command, in milliseconds. */
const SOCKET_MARGIN_MS = 1_000;
/** How long the diagnosis of a failed handshake is valid, in milliseconds. */
const FAULT_MS = 10_000;
/** Codes that do not reveal the cause of a failure, and texts that do. */
const OPAQUE: ReadonlySet<string> = new Set<RedisErrorCode>(["TLS", "TIMEOUT", "CONNECTION"]);
const TELLING = /\b(?:ECONNREFUSED|ENOTFOUND|EAI_AGAIN|E(?:HOST|NET)UNREACH)\b/;
/** Longest pause between attempts to connect, in milliseconds. */
const MAX_RETRY_MS = 5_000;

/**
 * An address without a server (RFC 6761), for a connection that does not know its server yet; the client's default is
 * localhost.
 */
const NOWHERE: Server = { host: "unknown.invalid", port: 1 };
/** Codes that show that a server is not the master any more. */
const NO_MASTER: ReadonlySet<RedisErrorCode> = new Set<RedisErrorCode>(["READONLY", "MASTERDOWN"]);
/** The client's error after a round in which every Sentinel answered. */
const ROUND_IS_OVER = /^All sentinels are unreachable\. Retrying from scratch after \d+ms\.$/;
/** Failures that show that no server answers at the address. */
const NOT_THERE = /ECONNREFUSED|ETIMEDOUT|UNREACH|ENOTFOUND/;

/** Dependencies, callbacks and timing of {@link RedisConnections}. */
export interface ConnectionDeps {
  readonly clock: Clock;
  readonly random: RandomFraction;
  readonly log: Log;
  /** Called each time the connections are ready again after an outage. */
  readonly onReconnect: () => void;
  /** Called each time Redis refuses a login: the password may have been rotated. */
  readonly onRefused?: () => void;
  /** Timeout of a command; default {@link COMMAND_TIMEOUT_MS}. */
  readonly commandTimeoutMs?: number;
  /** Idle time after which {@link KeepAlive} sends a command; default that of {@link KeepAlive}. */
  readonly idleMs?: number;
}

/** Holds the service's connections. They connect in the background from the start, and reconnect when they are lost. */
export class RedisConnections {
  /** For commands that may run twice. */
  readonly reader: RedisClient;
  /**
   * For commands that must run at most once: nothing is queued while disconnected or resent. In a cluster, the same
   * client as `reader`.
   */
  readonly committer: RedisClient;
  readonly #address: RedisAddress;
  readonly #deps: ConnectionDeps;
  readonly #cluster: Cluster | null;
  readonly #all = new Set<RedisClient>();
  /** Ended connections that are not gone yet. */
  readonly #ending = new Set<Promise<void>>();
  readonly #attempts = new WeakMap<RedisClient, Attempts>();
  /**
   * The connections that moves need. A new one stays in `#connectingFirstTime` until it is ready, so that it does not
   * hold other sources up.
   */
  readonly #required = new Set<RedisClient>();
  readonly #connectingFirstTime = new Set<Redis>();
  /**
   * In progress from the start, and after a loss, until every required connection is ready. The cause is the last
   * failure's code.
   */
  readonly #outage: OutageLog;
  #everUp = false;
  #lastError: RedisErrorCode | "" = "";
  #lastReason = "";
  /** Variable of the password that the log last announced. */
  #announcedPassword = "";
  /** The clients (a connection or the whole cluster) that log in with the next password instead of the current one. */
  readonly #onNext = new WeakSet<RedisClient>();
  /** The running diagnosis of a failing connection, the last result, and when it ended. */
  #looking: Promise<StoreError | null> | null = null;
  #fault: StoreError | null = null;
  #lookedAtMs = -Infinity;
  /** Number of commands that Redis has refused. */
  #refusals = 0;
  /** Number of attempts to reconnect clients that have ended. */
  #revivals = 0;
  readonly #keepAlive: KeepAlive;
  readonly #masterWatch: MasterWatch | null;
  readonly #slotRefresh: SlotRefresh | null;
  /** The error that the server sent before it closed connections; empty if it sent none. */
  #heard = "";
  #isHearing = false;
  readonly #closed = new AbortController();

  constructor(address: RedisAddress, deps: ConnectionDeps) {
    this.#address = address;
    this.#deps = deps;
    this.#outage = new OutageLog(deps);
    this.#outage.begin();
    const { clusterNodes = [] } = address;
    this.#cluster = clusterNodes.length > 0 ? this.#openCluster(clusterNodes) : null;
    this.reader = this.#cluster ?? this.#openServer("reader");
    this.committer = this.#cluster ?? this.#openServer("committer");
    this.#required.add(this.reader).add(this.committer);
    const { clock, idleMs } = deps;
    this.#keepAlive = new KeepAlive({ clock, connections: () => this.#all, ...(idleMs ? { idleMs } : {}) });
    this.#keepAlive.start();
    this.#masterWatch = this.#createMasterWatch();
    this.#masterWatch?.start();
    this.#slotRefresh = this.#cluster && new SlotRefresh(this.#cluster, clock);
    this.#slotRefresh?.start();
  }

  /** Returns every connection that was not released. */
  list(): readonly RedisClient[] {
    return [...this.#all];
  }

  /** Returns whether every required connection can take commands; with `own`, only those that this source needs. */
  isReady(own?: Redis): boolean {
    const required = own ? [this.reader, this.committer, own] : this.#required;
    for (const { status } of required) if (status !== "ready") return false;
    return true;
  }

  /** Returns the code of the last failure to connect (`CONNECTION`, `WRONGPASS`, …); empty if there was none. */
  lastErrorCode(): RedisErrorCode | "" {
    return this.#lastError;
  }

  /** Returns the last failure as text, with the client's message; empty if there was none. */
  lastFailure(): string {
    const isSaid = this.#lastReason === "" || this.#lastReason.startsWith(this.#lastError);
    return isSaid ? this.#lastReason || this.#lastError : `${this.#lastError}: ${this.#lastReason}`;
  }

  /** Returns {@link lastFailure}. If its cause is not known, diagnoses the connection first. Never rejects. */
  async explainFailure(): Promise<string> {
    const [redis] = [...this.#all].filter((one) => one instanceof Redis && one.status !== "ready");
    if (redis instanceof Redis && this.#isOpaque(redis)) {
      const text = `Connection is closed ${this.#lastReason}`;
      await this.#lookAt(redis, new StoreError(text, { code: this.#lastError || "CONNECTION", isCertain: false }));
    }
    return this.lastFailure();
  }

  /** Returns how many commands Redis has refused so far, on all connections together. */
  refusals(): number {
    return this.#refusals;
  }

  /** Opens a required connection, like {@link open}. Closed by {@link close} or {@link release}. */
  openNeeded(role: string, key: string): Redis {
    const redis = this.open(role, key);
    this.#connectingFirstTime.add(redis);
    redis.once("ready", () => this.#connectingFirstTime.delete(redis) && this.#required.add(redis));
    return redis;
  }

  /** Closes one opened connection. Safe to call twice. */
  release(redis: Redis): void {
    for (const connections of [this.#required, this.#connectingFirstTime, this.#all]) connections.delete(redis);
    this.#end(redis);
    // If only this connection was down, the outage ends.
    if (!this.#closed.signal.aborted) this.#ready();
  }

  /**
   * Opens a connection to one server; in a cluster, it follows the owner of `key`. Closed by {@link close} or {@link
   * release}.
   */
  open(role: string, key: string): Redis {
    if (!this.#cluster) return this.#openServer(role);
    return this.#openServer(role, new SlotOwner(this.#cluster, key), key);
  }

  /** Waits until the connections are ready. Resolves with `false` after `timeoutMs` or an abort. */
  async waitUntilReady(timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
    const deadlineMs = this.#deps.clock.monotonicMs() + timeoutMs;
    while (!this.isReady() || this.#connectingFirstTime.size > 0) {
      const leftMs = deadlineMs - this.#deps.clock.monotonicMs();
      if (leftMs <= 0 || signal?.aborted) return false;
      await this.#deps.clock.sleep(Math.min(20, leftMs), signal);
    }
    return true;
  }

  /**
   * Closes every connection before it returns; commands in flight reject. Resolves when the background work has ended and the
   * connections are gone. Safe to call twice.
   */
  async close(): Promise<void> {
    this.#closed.abort();
    for (const redis of this.#all) this.#end(redis);
    const work = [this.#keepAlive, this.#masterWatch, this.#slotRefresh];
    await Promise.all([...work.map((one) => one?.stop()), this.#looking, ...this.#ending]);
  }

  #end(redis: RedisClient): void {
    const ending = disconnect(redis, this.#deps.clock);
    this.#ending.add(ending);
    void ending.then(() => this.#ending.delete(ending));
  }

  #openServer(role: string, owner?: SlotOwner, key = ""): Redis {
    const attempts = new Attempts(this.#deps.clock);
    // Called before each connection, also those to the Sentinels.
    const retryStrategy = () => {
      Object.assign(redis.options, this.#login(redis), owner?.server());
      const pauseMs = this.#next(attempts, role);
      if (attempts.cuts() >= CUTS_AT_ONCE) this.#hear(redis);
      return pauseMs;
    };
    const redis: Redis = new Redis({
      ...clientOptions(this.#address, { ...this.#options(role), retryStrategy }),
      ...(owner ? { ...NOWHERE, lazyConnect: true } : {}),
      reconnectOnError: (error) => {
        this.#refusals++;
        const isElsewhere = owner ? owner.isElsewhere(error, redis.options as Server) : this.#isDemoted(error, redis);
        if (isElsewhere) attempts.reset();
        return isElsewhere;
      },
    });
    this.#attempts.set(redis, attempts);
    let wasReady = false;
    redis.on("ready", () => {
      wasReady = true;
      attempts.ready();
    });
    this.#negotiate(redis);
    redis.on("error", (error: Error) => {
      // Each Sentinel has named a master. That the master is unreachable was already logged.
      if (!ROUND_IS_OVER.test(error.message)) this.#failed(redis, error);
    });
    // A server that closes the connection during the handshake causes no error event.
    redis.on("close", () => wasReady ? wasReady = false : this.#lookAt(redis, closedConnection()));
    owner?.whenKnown((server) => {
      Object.assign(redis.options, server);
      if (redis.status === "wait") redis.connect().catch(() => {});
    }, () => this.#tell(unowned(key)));
    return this.#watch(redis);
  }

  /** Alternates between RESP 2 and 3: a proxy that does not know HELLO may close the connection without an error. */
  #negotiate(redis: Redis): void {
    const { options } = redis;
    let isSilent = false;
    redis.on("connect", () => isSilent = redis.status === "connect");
    redis.on("ready", () => isSilent = false);
    redis.on("error", (error) => isSilent &&= redisErrorCode(error) === "CONNECTION");
    redis.on("close", () => {
      if (isSilent) {
        this.#hear(redis).then((said) => said === "" && (options.protocol = options.protocol === 2 ? 3 : 2));
      }
      isSilent = false;
    });
  }

  /**
   * Reads the error that a server sends before it closes connections; over TLS it cannot send one. Resolves with the error
   * (empty if there is none), or `null` if it was read before. Never rejects.
   */
  async #hear({ options: { host, port, tls, path, sentinels } }: Redis): Promise<string | null> {
    if (!host || !port || tls || path || sentinels) return "";
    if (this.#isHearing || this.#heard !== "") return null;
    this.#isHearing = true;
    this.#heard = describeRedisError(await hearFirstWords({ host, port }, this.#closed.signal));
    this.#isHearing = false;
    if (this.#closed.signal.aborted) return null;
    if (this.#heard !== "") this.#tell(toStoreError(this.#heard));
    return this.#heard;
  }

  #createMasterWatch(): MasterWatch | null {
    const { clock, log } = this.#deps, options = clientOptions(this.#address, this.#options("sentinel"));
    if (!options.sentinels?.length) return null;
    return new MasterWatch({
      ...{ clock, options },
      connectedTo: () => {
        const { status, stream } = this.committer as Redis;
        if (status !== "ready") return null;
        const { remoteAddress: host, remotePort: port } = stream as { remoteAddress?: string; remotePort?: number };
        return host && port ? { host, port } : null;
      },
      onElsewhere: (master, connectedTo) => {
        const message =
          `The Sentinels name ${master} as the master, but the connection is to ${connectedTo}; reconnecting`;
        log.warning("redis_master_elsewhere", message, { master, connected_to: connectedTo });
        this.#reconnectAll();
      },
    });
  }

  #openCluster(nodes: readonly Server[]): Cluster {
    const attempts = new Attempts(this.#deps.clock);
    const cluster = openCluster(nodes, {
      options: clientOptions(this.#address, this.#options("cluster")),
      backoff: () => this.#next(attempts, "cluster"),
      onReplaced: (known) => this.#tellReplaced(known),
    });
    cluster.on("ready", () => attempts.ready());
    // The cluster client replaces failed connections, so each new node needs the current login.
    cluster.on("+node", (node: Redis) => Object.assign(node.options, this.#login(cluster)));
    cluster.on("node error", (error: Error, address: string) => {
      if (!isRefusal(this.#tell(error))) return;
      const node = cluster.nodes().find(({ options: { host, port } }) => address === `${host}:${port}`);
      if (node) this.#refused(node, cluster);
    });
    cluster.on("error", (error: Error & { lastNodeError?: Error }) => this.#tell(error.lastNodeError ?? error));
    return this.#watch(cluster);
  }

  #watch<Client extends RedisClient>(redis: Client): Client {
    redis.on("close", () => this.#all.has(redis) && this.#lost());
    redis.on("ready", () => this.#ready());
    redis.on("end", () => this.#revive(redis));
    this.#all.add(redis);
    return redis;
  }

  /** Reconnects a client that has ended by itself, for example because a certificate could not be parsed. */
  async #revive(redis: RedisClient): Promise<void> {
    await this.#deps.clock.sleep(this.#backoff(++this.#revivals), this.#closed.signal);
    if (this.#closed.signal.aborted || !this.#all.has(redis) || redis.status !== "end") return;
    await redis.connect().catch((error) => this.#tell(error));
  }

  #options(role: string): ClientOptions {
    const commandTimeout = this.#deps.commandTimeoutMs ?? COMMAND_TIMEOUT_MS;
    return {
      connectionName: `mutt-remediation:${role}`,
      commandTimeout,
      // Reconnect if the network drops all packets or Redis is suspended.
      socketTimeout: commandTimeout + SOCKET_MARGIN_MS,
    };
  }

  /** Reconnects every client if the master became a replica: the name may lead to a new master now. */
  #isDemoted(error: Error, failing: Redis): boolean {
    const code = redisErrorCode(error);
    if (code === "NOREPLICAS") this.#masterWatch?.wake();
    if (!NO_MASTER.has(code)) return false;
    this.#reconnectAll(failing);
    return true;
  }

  #reconnectAll(failing?: Redis): void {
    for (const redis of this.#all) {
      if (redis === failing || redis.status !== "ready") continue;
      this.#attempts.get(redis)?.reset();
      redis.disconnect(true);
    }
  }

  #next(attempts: Attempts, role: string): number {
    const attempt = attempts.lost();
    if (attempts.cuts() === CUTS_AT_ONCE) {
      const said = this.#heard === "" ? "" : ` (it says: ${this.#heard})`;
      const message = `Redis, or a proxy before it, closed the connection ${role} soon after it was made${said}, ` +
        `${CUTS_AT_ONCE} times in a row; trying again with growing pauses. Check its log, and its maxclients, ` +
        "client-output-buffer-limit, maxmemory-clients and timeout";
      this.#deps.log.warning("redis_cut", message, { connection: role });
    }
    return this.#backoff(attempt);
  }

  #tellReplaced(known: readonly string[] | null): void {
    if (known === null) {
      return this.#deps.log.info("redis_nodes_named", "A node from REDIS_CLUSTER_NODES is in the cluster again");
    }
    const message =
      "No node from REDIS_CLUSTER_NODES is in the cluster any more, and a restart would not find the cluster; " +
      `set it to some of these nodes: ${known.join(", ")}`;
    this.#deps.log.warning("redis_nodes_replaced", message, { nodes: known });
  }

  #backoff(attempt: number): number {
    const longest = Math.min(MAX_RETRY_MS, 50 * 2 ** Math.min(attempt, 10));
    return Math.round(longest * (0.5 + this.#deps.random() / 2));
  }

  #failed(redis: Redis, error: Error): void {
    const isHandshake = redis.status !== "ready" && hasTls(this.#address) &&
      ["TLS", "TIMEOUT"].includes(redisErrorCode(error));
    // #lookAt logs it after the diagnosis.
    const isLookedAt = isHandshake && this.#isOpaque(redis);
    if (isLookedAt) this.#lookAt(redis, error);
    const code = isLookedAt ? redisErrorCode(error) : this.#tell(error);
    // An earlier failure is a Sentinel's refusal. Disconnecting during it would end the client permanently.
    if (redis.status !== "connect") return;
    if (isRefusal(code)) this.#refused(redis, redis);
    // A proxy may refuse HELLO with an error of its own. Redis 6.0 refuses it if the default user may not call it, which it is until
    // the login: `user default off`.
    if (code === "OTHER" || code === "NOPERM") redis.options.protocol = 2;
    // Redo an incomplete handshake: if SELECT was refused, the client would continue in database 0.
    redis.disconnect(true);
  }

  /** Whether only a diagnosis can find the cause. It does not cover Sentinels, clusters and Unix sockets. */
  #isOpaque({ options }: Redis): boolean {
    const isNamed = this.#cluster === null && !options.sentinels && !options.path;
    const isKnown = this.#closed.signal.aborted || !this.#outage.isDown() || !isNamed;
    return !isKnown && (this.#lastError === "" || OPAQUE.has(this.#lastError)) && !TELLING.test(this.#lastReason);
  }

  #hasLooked(): boolean {
    return this.#deps.clock.monotonicMs() - this.#lookedAtMs < FAULT_MS;
  }

  /** Diagnoses the server, one diagnosis at a time with a pause between, and logs the result; without one, logs the failure. */
  async #lookAt(redis: Redis, failure: Error): Promise<void> {
    if (this.#looking) return void await this.#looking;
    if (!this.#isOpaque(redis) || this.#hasLooked()) return;
    const { clock } = this.#deps, { host = "", port = 0 } = redis.options;
    this.#looking = findConnectionFault({ host, port }, {
      ...{ clock, wantsTls: hasTls(this.#address), name: this.#address.serverName || host },
      ...{ caCert: this.#address.caCert, clientCert: this.#address.clientCert ?? "", signal: this.#closed.signal },
    });
    this.#fault = await this.#looking;
    this.#looking = null;
    this.#lookedAtMs = clock.monotonicMs();
    if (this.#isOpaque(redis) && (this.#fault !== null || redisErrorCode(failure) !== "CONNECTION")) {
      this.#tell(failure);
    }
  }

  #tell(failure: Error): RedisErrorCode {
    const isFound = this.#fault !== null && this.#hasLooked() && OPAQUE.has(redisErrorCode(failure)) &&
      !TELLING.test(failure.message);
    const error = isFound ? this.#fault! : failure;
    const code = redisErrorCode(error), reason = explainRedisError(error);
    // If the server is reachable, its own error says more than the closed connection.
    if (code === "CONNECTION" && NOT_THERE.test(reason)) this.#heard = "";
    else if (code === "CONNECTION" && this.#heard !== "") return code;
    if (this.#outage.isDown()) {
      const message = `Redis cannot be used (${code}); trying again`;
      this.#outage.down(code, { event: "redis_unreachable", message, fields: { error_code: code, reason } });
    }
    this.#lastError = code;
    this.#lastReason = reason;
    return code;
  }

  /** Returns the current login of a connection, without the options that are not set. */
  #login(owner: RedisClient): ClientOptions {
    const { current, next } = passwordsOf(this.#address);
    const password = this.#onNext.has(owner) ? next ?? current : current;
    const sentinelPassword = this.#address.sentinel?.password?.reveal();
    return {
      ...(password === undefined ? {} : { password }),
      ...(sentinelPassword === undefined ? {} : { sentinelPassword }),
    };
  }

  #refused(redis: Redis, owner: RedisClient): void {
    this.#deps.onRefused?.();
    this.#takeOtherPassword(redis, owner);
  }

  /** Each connection alternates by itself, so that two refusals at once do not cancel out. */
  #takeOtherPassword({ options }: Redis, owner: RedisClient): void {
    const { current, next } = passwordsOf(this.#address);
    if (current === undefined || next === undefined) return;
    // If the files changed, the refused password may be neither of the two. Then try the current one.
    if (options.password === current) this.#onNext.add(owner);
    else this.#onNext.delete(owner);
    this.#tellOtherPassword(this.#passwordVariable(owner));
  }

  /** Returns the variable of the password in use. */
  #passwordVariable(owner: RedisClient): string {
    return this.#onNext.has(owner) ? "REDIS_PASS_NEXT" : "REDIS_PASS_CURRENT";
  }

  #tellOtherPassword(variable: string): void {
    if (this.#announcedPassword !== "") return;
    this.#announcedPassword = variable;
    this.#deps.log.warning("redis_password_refused", `Redis refused the password; trying ${variable}`, { variable });
  }

  #lost(): void {
    if (this.#closed.signal.aborted || this.#outage.isDown()) return;
    this.#lastError = this.#heard = "";
    this.#announcedPassword = "";
    this.#outage.down("", { event: "redis_lost", message: "The connection to Redis was lost; trying again" });
  }

  #ready(): void {
    if (!this.#outage.isDown() || !this.isReady()) return;
    this.#revivals = 0;
    this.#lastError = this.#heard = "";
    if (this.#everUp) this.#deps.onReconnect();
    const message = this.#everUp ? "Redis can be used again" : "Connected to Redis";
    const variable = this.#announcedPassword === "" ? null : this.#passwordVariable(this.committer);
    this.#outage.up(() => ({
      event: "redis_ready",
      message: variable === null ? message : `${message}, with ${variable}`,
      fields: variable === null ? {} : { variable },
    }));
    this.#everUp = true;
  }
}

/** Returns the error for a connection that was closed without a message. */
function closedConnection(): StoreError {
  return new StoreError("Connection is closed", { code: "CONNECTION", isCertain: false });
}

function isRefusal(code: RedisErrorCode): boolean {
  return code === "WRONGPASS" || code === "NOAUTH";
}
