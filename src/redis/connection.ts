/** Connections to Redis: one that reads, one that commits, more on request (a source's own, a subscriber's); with back-off, for ever. */
import { type Cluster, Redis } from "ioredis";
import { OutageLog } from "../lifecycle/outage_log.ts";
import type { Log } from "../observability/log.ts";
import type { Clock } from "../runtime/clock.ts";
import type { RandomFraction } from "../runtime/random.ts";
import type { Server } from "../config/redis_url.ts";
import { type ClientOptions, clientOptions, hasTls, passwordsOf, type RedisAddress } from "./address.ts";
import { explainRedisError } from "./advice.ts";
import { Attempts, CUTS_AT_ONCE } from "./attempts.ts";
import { openCluster, type RedisClient, SlotOwner, unowned } from "./cluster.ts";
import { describeRedisError, type RedisErrorCode, redisErrorCode, StoreError, toStoreError } from "./errors.ts";
import { hearFirstWords } from "./first_words.ts";
import { KeepAlive } from "./keep_alive.ts";
import { findConnectionFault } from "./connection_fault.ts";
import { MasterWatch } from "./master_watch.ts";

/** How long a command may take, in milliseconds, before its caller is told that it timed out. */
export const COMMAND_TIMEOUT_MS = 5_000;
/** How much longer than a command a connection may be without any data that it waits for, in milliseconds. */
const SOCKET_MARGIN_MS = 1_000;
/** How long what was found out about a failed handshake holds, in milliseconds. */
const FAULT_MS = 10_000;
/** Codes of failures that tell nothing of their cause, and what tells it all the same. */
const OPAQUE: ReadonlySet<string> = new Set<RedisErrorCode>(["TLS", "TIMEOUT", "CONNECTION"]);
const TELLING = /\b(?:ECONNREFUSED|ENOTFOUND|EAI_AGAIN|E(?:HOST|NET)UNREACH)\b/;
/** Longest pause between attempts to connect, in milliseconds. */
const MAX_RETRY_MS = 5_000;

/** Where nobody listens (RFC 6761): a connection that does not know its server yet must not go to the client's default. */
const NOWHERE: Server = { host: "unknown.invalid", port: 1 };
/** An outage that tells that a server may not be the master any more. */
const NO_MASTER: ReadonlySet<RedisErrorCode> = new Set<RedisErrorCode>(["READONLY", "MASTERDOWN"]);
/** What the client says of its Sentinels when each was asked once and nothing failed. */
const ROUND_IS_OVER = /^All sentinels are unreachable\. Retrying from scratch after \d+ms\.$/;
/** Nobody answers where the server is to be. */
const NOT_THERE = /ECONNREFUSED|ETIMEDOUT|UNREACH|ENOTFOUND/;

/** What {@link RedisConnections} needs. */
export interface ConnectionDeps {
  readonly clock: Clock;
  readonly random: RandomFraction;
  readonly log: Log;
  /** Called each time a connection that was lost is there again. */
  readonly onReconnect: () => void;
  /** Called each time that Redis refuses a login: whoever gave the password may know another by now. */
  readonly onRefused?: () => void;
  /** How long a command may take; default {@link COMMAND_TIMEOUT_MS}. */
  readonly commandTimeoutMs?: number;
  /** After how long without a command a connection is kept alive; default that of {@link KeepAlive}. */
  readonly idleMs?: number;
}

/** The service's connections. They connect in the background from the start, and again whenever they are lost. */
export class RedisConnections {
  /** For what may be asked twice. */
  readonly reader: RedisClient;
  /** For what must run at most once: nothing is queued while disconnected, nothing is resent. In a cluster the same. */
  readonly committer: RedisClient;
  readonly #address: RedisAddress;
  readonly #deps: ConnectionDeps;
  readonly #cluster: Cluster | null;
  readonly #all = new Set<RedisClient>();
  readonly #attempts = new WeakMap<RedisClient, Attempts>();
  /** Without which nothing moves; `#connectingFirstTime` until it was ready once, so that a new source does not hold the others. */
  readonly #required = new Set<RedisClient>();
  readonly #connectingFirstTime = new Set<Redis>();
  /** From the start until every needed connection is ready, and whenever one is lost; by the code of the last failure. */
  readonly #outage: OutageLog;
  #everUp = false;
  #lastError: RedisErrorCode | "" = "";
  #lastReason = "";
  /** Variable of the password that was last told to be tried. */
  #announcedPassword = "";
  /** Whoever logs in with the next password instead of the current one: a connection, or the whole cluster. */
  readonly #onNext = new WeakSet<RedisClient>();
  /** The look at a server to which no connection comes about, what was found, and when it ended. */
  #looking: Promise<StoreError | null> | null = null;
  #fault: StoreError | null = null;
  #lookedAtMs = -Infinity;
  /** Commands that Redis has refused. */
  #refusals = 0;
  /** Attempts to connect what the client has ended. */
  #revivals = 0;
  readonly #keepAlive: KeepAlive;
  readonly #masterWatch: MasterWatch | null;
  /** What the server said of its own accord when it closed connections; empty: nothing. */
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
  }

  /** Every connection that is not closed for good. */
  list(): readonly RedisClient[] {
    return [...this.#all];
  }

  /** Whether every connection that messages need can take commands; with `own`, those that this source's need. */
  isReady(own?: Redis): boolean {
    const required = own ? [this.reader, this.committer, own] : this.#required;
    for (const { status } of required) if (status !== "ready") return false;
    return true;
  }

  /** Code of the last failure to connect (`CONNECTION`, `WRONGPASS`, …), empty before any. */
  lastErrorCode(): RedisErrorCode | "" {
    return this.#lastError;
  }

  /** The same for people, with what the client said of it; empty before any. */
  lastFailure(): string {
    const isSaid = this.#lastReason === "" || this.#lastReason.startsWith(this.#lastError);
    return isSaid ? this.#lastReason || this.#lastError : `${this.#lastError}: ${this.#lastReason}`;
  }

  /** {@link lastFailure}, after a look at what may be wrong with TLS where that is not known. Never rejects. */
  async explainFailure(): Promise<string> {
    const [redis] = [...this.#all].filter((one) => one instanceof Redis && one.status !== "ready");
    if (redis instanceof Redis && this.#isOpaque(redis)) {
      const text = `Connection is closed ${this.#lastReason}`;
      await this.#lookAt(redis, new StoreError(text, { code: this.#lastError || "CONNECTION", isCertain: false }));
    }
    return this.lastFailure();
  }

  /** How many commands Redis has refused so far, on all connections together. */
  refusals(): number {
    return this.#refusals;
  }

  /** One more connection that messages need, as {@link open} opens it. Closed with the others, or by {@link release}. */
  openNeeded(role: string, key: string): Redis {
    const redis = this.open(role, key);
    this.#connectingFirstTime.add(redis);
    redis.once("ready", () => this.#connectingFirstTime.delete(redis) && this.#required.add(redis));
    return redis;
  }

  /** Closes one that was opened, before the others. Safe to call twice. */
  release(redis: Redis): void {
    for (const connections of [this.#required, this.#connectingFirstTime, this.#all]) connections.delete(redis);
    if (redis.status !== "end") redis.disconnect();
    // It may have been the only one that was down.
    if (!this.#closed.signal.aborted) this.#ready();
  }

  /** One more connection to a single server: in a cluster the owner of `key`, whoever that is. Closed with the others. */
  open(role: string, key: string): Redis {
    if (!this.#cluster) return this.#openServer(role);
    return this.#openServer(role, new SlotOwner(this.#cluster, key), key);
  }

  /** Resolves with whether the connections became ready within `timeoutMs`. */
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
   * Closes every connection before it returns; commands in flight reject. Resolves when nothing runs in the background any more.
   * Safe to call twice.
   */
  async close(): Promise<void> {
    this.#closed.abort();
    // A second disconnect of a client that has ended leaves a timer behind (ioredis 6).
    for (const redis of this.#all) if (redis.status !== "end") redis.disconnect();
    await Promise.all([this.#keepAlive.stop(), this.#masterWatch?.stop()]);
  }

  #openServer(role: string, owner?: SlotOwner, key = ""): Redis {
    const attempts = new Attempts(this.#deps.clock);
    // Before each connection, that to the Sentinels too.
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
      // Each Sentinel was asked and has named a master; that it cannot be reached is told already.
      if (!ROUND_IS_OVER.test(error.message)) this.#failed(redis, error);
    });
    // A server that hangs up during the handshake says nothing at all.
    redis.on("close", () => wasReady ? wasReady = false : this.#lookAt(redis, closedConnection()));
    owner?.whenKnown((server) => {
      Object.assign(redis.options, server);
      if (redis.status === "wait") redis.connect().catch(() => {});
    }, () => this.#tell(unowned(key)));
    return this.#watch(redis);
  }

  /** A proxy that does not know HELLO may close the connection instead of saying so: RESP 2 and 3 are tried in turn. */
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
   * Asks a server that closes connections at once for its reason; over TLS it cannot say any. Resolves with what it says (empty:
   * nothing), `null` where it has been asked already. Never rejects.
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
        const message = `The Sentinels name ${master} as the master, connected is ${connectedTo}; connecting anew`;
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
    // It makes its connections anew instead of mending them.
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

  /** The client has given a connection up for good, which is not its to decide (a certificate's text that throws does it). */
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
      // A path that swallows everything, or a Redis that is stopped: connect again.
      socketTimeout: commandTimeout + SOCKET_MARGIN_MS,
    };
  }

  /** A master that became a replica: every connection is made again, to wherever the name leads now. */
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
      const message = `Redis, or a proxy before it, has closed the connection ${role} soon after it was made${said}, ` +
        `${CUTS_AT_ONCE} times in a row; trying again ever more rarely. Look into its log, at maxclients, ` +
        "client-output-buffer-limit, maxmemory-clients and timeout";
      this.#deps.log.warning("redis_cut", message, { connection: role });
    }
    return this.#backoff(attempt);
  }

  #tellReplaced(known: readonly string[] | null): void {
    if (known === null) {
      return this.#deps.log.info("redis_nodes_named", "A node that REDIS_CLUSTER_NODES names is in the cluster again");
    }
    const message =
      "No node that REDIS_CLUSTER_NODES names is in the cluster any more, and a restart would not find it; " +
      `name some of these: ${known.join(", ")}`;
    this.#deps.log.warning("redis_nodes_replaced", message, { nodes: known });
  }

  #backoff(attempt: number): number {
    const longest = Math.min(MAX_RETRY_MS, 50 * 2 ** Math.min(attempt, 10));
    return Math.round(longest * (0.5 + this.#deps.random() / 2));
  }

  #failed(redis: Redis, error: Error): void {
    const isHandshake = redis.status !== "ready" && hasTls(this.#address) &&
      ["TLS", "TIMEOUT"].includes(redisErrorCode(error));
    // Told once it was looked at.
    const isLookedAt = isHandshake && this.#isOpaque(redis);
    if (isLookedAt) this.#lookAt(redis, error);
    const code = isLookedAt ? redisErrorCode(error) : this.#tell(error);
    // What fails before is no handshake with Redis, but a Sentinel's refusal: the client, cut then, would have ended for good.
    if (redis.status !== "connect") return;
    if (isRefusal(code)) this.#refused(redis, redis);
    // A proxy that refuses HELLO in words of its own.
    if (code === "OTHER") redis.options.protocol = 2;
    // Half a handshake is none: a client whose SELECT was refused would go on in database 0.
    redis.disconnect(true);
  }

  /** Whether only a look can tell why there is no connection. Who names the server to the client is not looked at. */
  #isOpaque({ options }: Redis): boolean {
    const isNamed = this.#cluster === null && !options.sentinels && !options.path;
    const isKnown = this.#closed.signal.aborted || !this.#outage.isDown() || !isNamed;
    return !isKnown && (this.#lastError === "" || OPAQUE.has(this.#lastError)) && !TELLING.test(this.#lastReason);
  }

  #hasLooked(): boolean {
    return this.#deps.clock.monotonicMs() - this.#lookedAtMs < FAULT_MS;
  }

  /** Looks at the server, one look at a time and not too often, and tells what was found; else the failure as it is. */
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
    // Where the server is there, what it said tells more than that it has closed the connection.
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

  /** What a connection logs in with now; what is not set is not among it. */
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

  /** Each connection alternates for itself, so that two that are refused at once do not undo each other. */
  #takeOtherPassword({ options }: Redis, owner: RedisClient): void {
    const { current, next } = passwordsOf(this.#address);
    if (current === undefined || next === undefined) return;
    // What was refused may be in no file any more: then the current one is tried.
    if (options.password === current) this.#onNext.add(owner);
    else this.#onNext.delete(owner);
    this.#tellOtherPassword(this.#passwordVariable(owner));
  }

  /** Variable of the password that was taken. */
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

/** What is told of a connection that was closed without a word. */
function closedConnection(): StoreError {
  return new StoreError("Connection is closed", { code: "CONNECTION", isCertain: false });
}

function isRefusal(code: RedisErrorCode): boolean {
  return code === "WRONGPASS" || code === "NOAUTH";
}
