/** The long-running service: builds the parts in order, runs until told to stop, and takes them down again. */
import { LiveSettings } from "../mutt/dynamic_keys.ts";
import type { Settings } from "../config/fields.ts";
import { parseServers, REDIS_PORT } from "../config/redis_url.ts";
import { warnOfNoWebhook, whyMoogsoftIsNotAsked } from "../config/rules.ts";
import { loadSources, type SecretReader } from "../config/load.ts";
import { createProxyChoice } from "../config/proxy.ts";
import type { SourcesFile } from "../config/sources_file.ts";
import type { SloName } from "../slo/objectives.ts";
import { createHealthHandler, type HealthCheck, type HealthState } from "../api/health.ts";
import { createMetricsHandler } from "../api/metrics.ts";
import { HttpServer } from "../http/server.ts";
import type { Log } from "../observability/log.ts";
import { type CutReason, type HTTP_PORTS, Metrics } from "../observability/metrics.ts";
import { NO_TRACER, type Tracer } from "../observability/tracing.ts";
import { CONFIG_CHANNEL, ConfigWatcher } from "../mutt/dynamic_keys_watcher.ts";
import type { SentinelGroup } from "../redis/address.ts";
import { explainRedisError } from "../redis/advice.ts";
import { RedisConnections } from "../redis/connection.ts";
import { COMMIT_RESULTS } from "../redis/dead_letter_store.ts";
import { ReadBudget } from "../redis/read_budget.ts";
import { REDIS_ERROR_CODES, redisErrorCode } from "../redis/errors.ts";
import type { OldestMessage } from "../replay/depth_watch.ts";
import { ReplayLoop } from "../replay/loop.ts";
import type { SourceReplay } from "../replay/source_replay.ts";
import { type Clock, toIso } from "../runtime/clock.ts";
import { droppedErr, readProcessUsage } from "../runtime/process.ts";
import { createId, type RandomFraction } from "../runtime/random.ts";
import { SloMonitor } from "../slo/monitor.ts";
import { EXIT } from "./exit.ts";
import { MoogAccess } from "../mutt/moogsoft_access.ts";
import { inspectRedis } from "../operations/inspect_redis.ts";
import { RenewedFiles } from "./renewed_files.ts";
import { createSourceParts, type SourceParts } from "./source_parts.ts";
import { describeForMetrics, type DrivenSource, SourceSet } from "./source_set.ts";
import { createSources, type SourceSetup } from "./sources.ts";
import { SourcesReloader } from "./sources_reloader.ts";
import { Teardown } from "../lifecycle/teardown.ts";
import { type VaultSecrets, withVault } from "../mutt/vault.ts";
import { COMMIT, VERSION } from "./version.ts";

/** Pause before Redis is looked at again where it refused to answer, in milliseconds. */
const PREFLIGHT_RETRY_MS = 1_000;
/** A source that could not commit for so long makes the service not ready, in milliseconds. */
const NO_COMMIT_MS = 15_000;

/** Largest possible reads that all sources together hold at once: one is committed while the next is read. */
const LARGE_READS = 2;

/** What the outside gives to a service. */
export interface AppOptions {
  readonly settings: Settings;
  /** Reads a secret's file again; default: secrets stay as they are. */
  readonly readSecret?: SecretReader;
  /** What the sources file says; default: there is none. */
  readonly sourcesFile?: SourcesFile;
  readonly log: Log;
  readonly clock: Clock;
  readonly random: RandomFraction;
  /** Where spans go; default: nowhere. It is stopped with the rest. */
  readonly tracer?: Tracer;
  /** What the holder of a lease is called; default: the pod's name. */
  readonly instanceName?: string;
  /** Aborted: stop. */
  readonly signal: AbortSignal;
  /** Calls `listener` at each SIGHUP from now on; default: nobody does. */
  readonly onHangup?: (listener: () => void) => void;
  /** Where secrets of the settings come from, told when Redis refuses one; default: nowhere else. */
  readonly vault?: VaultSecrets;
}

/** Parts that `run` and `once` both need. */
export interface Core {
  readonly live: LiveSettings;
  readonly metrics: Metrics;
  readonly connections: RedisConnections;
  /** What connections are made with. */
  readonly files: RenewedFiles;
  readonly watcher: ConfigWatcher;
  /** The sources that are switched on. */
  readonly setups: readonly SourceSetup[];
  /** Builds a source; nothing runs until it is driven, and its builder stops it. */
  readonly createParts: (setup: SourceSetup) => SourceParts;
  /** Calls `listener` each time the connections are there again. */
  readonly onReconnect: (listener: () => void) => void;
}

/** Builds the parts; connecting begins in the background. What must be undone is added to `teardown`. */
export function createCore(options: AppOptions, teardown: Teardown): Core {
  const { settings, sourcesFile, log, clock, random, tracer = NO_TRACER } = options;
  teardown.add("the spans", () => tracer.stop());
  const live = new LiveSettings(settings);
  const setups = createSources(settings, sourcesFile);
  const metrics = new Metrics({
    sources: setups.map(describeForMetrics),
    commitResults: [...COMMIT_RESULTS, "error"],
    redisErrorCodes: REDIS_ERROR_CODES,
    version: VERSION,
    commit: COMMIT,
    sloTargets: sloTargets(settings),
    readProcessUsage,
  });
  metrics.showDroppedSpans((reason) => tracer.dropped(reason));
  metrics.showDroppedLines(() => droppedErr());
  // The gauge says 1 where Moogsoft is not asked (docs/differences-from-mutt.md).
  const noWebhook = warnOfNoWebhook(settings);
  if (!needsMoogsoft(setups)) metrics.moogHealth.set(1);
  else if (noWebhook !== null) log.warning("moogsoft_not_asked", `Remediation: ${noWebhook}`);
  const files = new RenewedFiles({ settings, readSecret: options.readSecret, log: log.child("redis") });
  const reconnected = [() => metrics.redisReconnects.inc()];
  const connections = new RedisConnections({
    get url() {
      return files.secret("redisUrl");
    },
    host: settings.redisHost,
    port: settings.redisPort,
    db: settings.redisDb,
    username: settings.redisUsername,
    get password() {
      return files.secret("redisPassword");
    },
    get passwordNext() {
      return files.secret("redisPasswordNext");
    },
    tls: settings.redisTls,
    sentinel: sentinelsOf(settings, files),
    clusterNodes: settings.redisUrl ? [] : parseServers(settings.redisClusterNodes.join(","), REDIS_PORT) ?? [],
    get caCert() {
      return files.caCert();
    },
    get clientCert() {
      return files.clientPair().cert;
    },
    get clientKey() {
      return files.clientPair().key;
    },
    serverName: settings.redisServerName,
  }, {
    ...{ clock, random, log: log.child("redis") },
    onReconnect: () => reconnected.forEach((tell) => tell()),
    onRefused: () => options.vault?.wake(),
  });
  teardown.add("the Redis connections", () => connections.close());
  const watcher = new ConfigWatcher({
    live,
    clock,
    reader: connections.reader,
    openSubscriber: () => connections.open("subscriber", CONFIG_CHANNEL),
    closeSubscriber: (subscriber) => connections.release(subscriber),
    log,
    onReload: (result) => metrics.configReloads.inc({ result }),
  });
  teardown.add("the dynamic configuration", () => watcher.stop());
  const token = createId();
  const instance = { token, name: `${options.instanceName ?? settings.podName} (${token.slice(0, 8)})` };
  const isConfigKnown = () => !settings.dynamicConfigEnabled || watcher.hasRead();
  const moog = new MoogAccess({ settings, readSecret: options.readSecret, log });
  const asking = { moogAccess: () => moog.now(), chooseProxy: createProxyChoice(settings) };
  const readBudget = new ReadBudget(LARGE_READS * Math.max(settings.chunkBytes, settings.maxMessageBytes));
  const shared = { live, isConfigKnown, connections, readBudget, instance, metrics, log, clock, tracer, ...asking };
  const createParts = (setup: SourceSetup) => createSourceParts(setup, shared);
  const onReconnect = (listener: () => void) => void reconnected.push(listener);
  return { live, metrics, connections, files, watcher, setups, createParts, onReconnect };
}

/** Whether a source is replayed only while Moogsoft takes events. */
export function needsMoogsoft(setups: readonly SourceSetup[]): boolean {
  return setups.some(({ gates }) => gates.includes("downstream"));
}

function sloTargets(settings: Settings): Readonly<Record<SloName, number>> {
  return {
    time_to_drain: settings.sloDrainTarget,
    oldest_age: settings.sloOldestAgeTarget,
    redrive_success: settings.sloRedriveTarget,
    downstream_availability: settings.sloDownstreamTarget,
  };
}

function sentinelsOf(settings: Settings, files: RenewedFiles): SentinelGroup {
  return {
    servers: parseServers(settings.redisSentinels.join(",")) ?? [],
    master: settings.redisSentinelMaster,
    username: settings.redisSentinelUsername,
    get password() {
      return files.secret("redisSentinelPassword");
    },
  };
}

/** Builds these sources for a command that ends; `teardown` stops them. */
export function createAllParts(
  { createParts }: Core,
  { setups, teardown }: { setups: readonly SourceSetup[]; teardown: Teardown },
): readonly SourceParts[] {
  return setups.map((setup) => {
    const source = createParts(setup);
    teardown.add(`the gates of ${setup.policy.name}`, () => source.stop());
    return source;
  });
}

/** Runs the service until the signal. Resolves with the exit code. */
export async function runService(given: AppOptions): Promise<number> {
  const { settings, log, clock, signal } = given;
  const teardown = new Teardown({ clock, log });
  const ending = new AbortController();
  const failed = Promise.withResolvers<number>();
  try {
    const options = await withVault(given, teardown);
    const core = createCore(options, teardown);
    const onBug = (error: unknown) => {
      log.error("bug", "The replay loop failed for a reason that is none of Redis or the messages", { error });
      failed.resolve(EXIT.failed);
    };
    const sources = new SourceSet(core.setups, {
      metrics: core.metrics,
      build: (setup) => buildDriven(setup, { core, clock, onBug }),
    });
    teardown.add("the gates", () => sources.stop());
    const reloader = settings.sourcesPath === "" ? null : createReloader(options, { core, sources, onBug });
    const nothingToReload =
      "Remediation: SIGHUP, but there is nothing to read again: no sources, certificates or secrets in files, and no Vault";
    options.onHangup?.(() => {
      const hasFiles = core.files.readAll();
      options.vault?.wake();
      if (reloader) reloader.ask();
      else if (!hasFiles && !options.vault) log.info("nothing_to_reload", nothingToReload);
    });
    const slos = createSloMonitor(options, { core, sources });
    teardown.add("the objectives", () => slos.stop());
    slos.start();
    listen(options, { core, sources, slos, teardown });
    core.watcher.start();
    const wake = () => sources.list().forEach(({ loop }) => loop.wake());
    core.live.onChange(wake);
    // A pause that grew while a slot had no owner must not outlast it.
    core.onReconnect(wake);
    const running = { core, sources, reloader, teardown };
    const driving = drive({ ...options, signal: AbortSignal.any([signal, ending.signal]) }, running)
      .then((code) => code === EXIT.done || failed.resolve(code), failed.reject);
    teardown.add("the wait for Redis", () => driving.then(() => {}));
    const stopped = Promise.withResolvers<number>();
    signal.addEventListener("abort", () => stopped.resolve(EXIT.done), { once: true });
    if (signal.aborted) stopped.resolve(EXIT.done);
    return await Promise.race([stopped.promise, failed.promise]);
  } finally {
    ending.abort();
    log.info("stopping", "Remediation is stopping: the chunk in hand is finished first");
    await teardown.run(settings.shutdownTimeoutSeconds * 1_000);
    log.info("stopped", "Remediation has stopped");
  }
}

function buildDriven(
  setup: SourceSetup,
  { core, clock, onBug }: { core: Core; clock: Clock; onBug: (error: unknown) => void },
): DrivenSource {
  const parts = core.createParts(setup);
  const loop = new ReplayLoop(parts.replay, {
    clock,
    intervalMs: () => core.live.current().intervalSeconds * 1_000,
    onPass: (seconds) => {
      core.metrics.loops.inc();
      core.metrics.loopDuration.observe(seconds);
    },
    onBug,
  });
  parts.leadership.serve({ wake: () => loop.wake(), isTurning: () => loop.isTurning() });
  return { parts, loop };
}

function createReloader(
  { settings, clock, log }: AppOptions,
  { core, sources, onBug }: { core: Core; sources: SourceSet; onBug: (error: unknown) => void },
): SourcesReloader {
  return new SourcesReloader({
    ...{ sources, clock, onBug, log: log.child("config") },
    load: () => loadSources(settings),
    createSources: (file) => createSources(settings, file),
    inspect: async (setups) => {
      const { problems } = await inspectRedis(core.connections.reader, setups.map(({ policy }) => policy));
      return problems;
    },
    onReload: (result) => core.metrics.configReloads.inc({ result }),
  });
}

function createSloMonitor(
  { settings, clock }: AppOptions,
  { core, sources }: { core: Core; sources: SourceSet },
): SloMonitor {
  return new SloMonitor({
    ...{ clock, counters: core.metrics.slo, targets: sloTargets(settings), podName: settings.podName },
    thresholdSeconds: { time_to_drain: settings.sloDrainSeconds, oldest_age: settings.sloOldestAgeSeconds },
    windowMs: () => core.live.current().sloWindowHours * 3_600_000,
    sources: () =>
      sources.list().map(({ parts: { setup, indicators, leadership } }) => ({
        ...{ name: setup.policy.name, indicators, role: () => leadership.status().role },
      })),
  });
}

/** Starts the two ports. @throws what binding throws, before anything has moved. */
function listen(
  { settings, log, clock, signal, vault }: AppOptions,
  { core, sources, slos, teardown }: { core: Core; sources: SourceSet; slos: SloMonitor; teardown: Teardown },
): void {
  const { bindAddress } = settings;
  const server = new HttpServer({ clock, log: log.child("http") });
  teardown.add("the ports", () => server.stop());
  const count = (port: typeof HTTP_PORTS[number]) => (reason: CutReason) => core.metrics.httpCut.inc({ port, reason });
  const metricsPort = server.open({
    ...{ bindAddress, port: settings.metricsPort, portVariable: "METRICS_PORT_REMEDIATION" },
    onCut: count("metrics"),
    handler: createMetricsHandler(core.metrics),
  });
  const healthPort = server.open({
    ...{ bindAddress, port: settings.healthPort, portVariable: "HEALTH_PORT_REMEDIATION" },
    onCut: count("health"),
    handler: createHealthHandler({
      health: () => describeHealth({ core, sources: sources.list(), clock, signal, vault }),
      slo: () => slos.report(),
      ...{ version: VERSION, podName: settings.podName },
    }),
  });
  log.info("listening", `Remediation ${VERSION} listens on ${settings.bindAddress}`, {
    metrics_port: metricsPort,
    health_port: healthPort,
  });
}

/**
 * Waits for Redis for ever, looks at it once for each source, then lets that source's loop turn: one whose server is down holds no
 * other. Resolves with 0 once all turn, or on the signal.
 */
async function drive(
  { log, clock, signal }: AppOptions,
  { core, sources, reloader, teardown }: {
    core: Core;
    sources: SourceSet;
    reloader: SourcesReloader | null;
    teardown: Teardown;
  },
): Promise<number> {
  const told = new Set<string>();
  const waiting = () => sources.list().filter(({ loop }) => !loop.isStarted());
  let isFirst = true;
  while (waiting().length > 0 && !signal.aborted) {
    const isComplete = await core.connections.waitUntilReady(PREFLIGHT_RETRY_MS, signal);
    const { problems, passed } = await inspectSources(waiting(), { core, log, told });
    // The journal is where a unit's user looks; what follows are the lines of the stop.
    for (const problem of problems) {
      log.error("redis_unsafe", `Remediation does not start (exit ${EXIT.configuration}): ${problem}`);
    }
    if (problems.length > 0) return EXIT.configuration;
    if (passed.length > 0 && isFirst && !signal.aborted) await core.watcher.readOnce();
    if (signal.aborted) break;
    if (passed.length > 0) {
      // Before the ports: health answers until the last chunk is done.
      if (isFirst) teardown.add("the replay loops", () => sources.stop());
      sources.drive(passed);
      if (isFirst && reloader) {
        teardown.add("the sources file", () => reloader.stop());
        reloader.start();
      }
      isFirst = false;
    }
    // The gates are asked from the start, so that metrics and log tell why nothing moves.
    await Promise.all(waiting().map(({ parts }) => parts.board.ask()));
    if (isComplete && waiting().length > 0) await clock.sleep(PREFLIGHT_RETRY_MS, signal);
  }
  return EXIT.done;
}

/** Looks at the servers of the sources that are connected. Servers that a cluster's sources do not share are looked at one by one. */
async function inspectSources(
  sources: readonly DrivenSource[],
  { core, log, told }: { core: Core; log: Log; told: Set<string> },
): Promise<{ problems: readonly string[]; passed: readonly DrivenSource[] }> {
  const { reader } = core.connections;
  const connected = sources.filter(({ parts }) => parts.isConnected());
  const groups = reader.isCluster || connected.length === 0 ? connected.map((source) => [source]) : [connected];
  const problems = new Set<string>();
  const passed = await Promise.all(groups.map(async (group) => {
    try {
      const found = await inspectRedis(reader, group.map(({ parts }) => parts.setup.policy));
      for (const problem of found.problems) problems.add(problem);
      for (const warning of found.warnings) {
        if (!told.has(warning)) log.warning("redis_unknown", warning);
        told.add(warning);
      }
      return group;
    } catch (error) {
      tellRefusal(error, { core, log });
      return [];
    }
  }));
  return { problems: [...problems], passed: passed.flat() };
}

/** Counts a refusal at the start; what lost connections do they tell themselves. */
function tellRefusal(error: unknown, { core, log }: { core: Core; log: Log }): void {
  const code = redisErrorCode(error);
  core.metrics.redisErrors.inc({ code });
  if (code !== "CONNECTION") {
    const message = `Redis cannot be looked at yet (${code}: ${explainRedisError(error)}); trying again`;
    log.warning("redis_refuses", message, { code });
  }
}

/** The oldest dead letter, in ISO 8601: since when it waits here, and the time that it gives of itself. */
function describeOldest(oldest: OldestMessage | null) {
  const toText = (atMs: number | null) => atMs === null ? null : toIso(atMs);
  return oldest && { waitingSince: toText(oldest.sinceMs), eventTime: toText(oldest.eventAtMs) };
}

function describeReady(
  { core, sources, nowMs }: { core: Core; sources: readonly DrivenSource[]; nowMs: number },
): HealthCheck {
  if (!core.connections.isReady()) {
    return { ok: false, reason: `Redis cannot be used (${core.connections.lastErrorCode() || "CONNECTING"})` };
  }
  // Answers, but lets nothing be moved: as of the last time that somebody asked.
  for (const { parts: { setup, board } } of sources) {
    const refusing = board.last().closed.find(({ name }) => name === "redis");
    if (refusing) return { ok: false, reason: `source ${setup.policy.name}: ${refusing.detail}` };
  }
  const waiting = sources.filter(({ loop }) => !loop.isStarted()).map(({ parts }) => parts.setup.policy.name);
  if (waiting.length > 0) {
    return { ok: false, reason: `Redis has not been looked at yet for source ${waiting.join(", ")}` };
  }
  for (const { parts: { setup, board, leadership } } of sources) {
    // Without an error an instance that does not lead stands by, or is switched off.
    const closed = board.last().closed.find(({ name, sinceMs }) =>
      name === "leader" && leadership.isFailing() && nowMs - sinceMs >= NO_COMMIT_MS
    );
    if (!closed) continue;
    const seconds = Math.round((nowMs - closed.sinceMs) / 1_000);
    const reason = `source ${setup.policy.name} has not been able to commit for ${seconds} s: ${closed.detail}`;
    return { ok: false, reason };
  }
  return { ok: true, reason: "ready" };
}

function describeHealth(
  { core, sources, clock, signal, vault }: {
    core: Core;
    sources: readonly DrivenSource[];
    clock: Clock;
    signal: AbortSignal;
    vault: VaultSecrets | undefined;
  },
): HealthState {
  const isReady = core.connections.isReady();
  const turning = sources.every(({ loop }) => loop.isTurning());
  return {
    live: { ok: turning, reason: turning ? "turning" : "the replay loop does not turn" },
    ready: signal.aborted ? { ok: false, reason: "stopping" } : describeReady({ core, sources, nowMs: clock.nowMs() }),
    details: {
      redis: isReady ? "connected" : "disconnected",
      replay: core.live.current().enabled ? "on" : "off",
      moogsoft: whyMoogsoftIsNotAsked(core.live.current()) ?? "asked",
      vault: vault?.state().detail ?? "not asked",
      sources: sources.map(({ parts: { setup, board, replay, leadership, oldest } }) => ({
        name: setup.policy.name,
        dlq: setup.policy.dlq,
        role: leadership.status().role,
        leader: leadership.status().holder || null,
        depth: replay.lastSnapshot()?.depth ?? null,
        oldest: describeOldest(oldest()),
        ...describeCycles(replay),
        gates: board.last().statuses.map(({ name, open, reason, detail, sinceMs, nextMs }) => ({
          ...{ name, open, reason, detail },
          since: new Date(sinceMs).toISOString(),
          next: nextMs === undefined ? null : new Date(nextMs).toISOString(),
        })),
      })),
    },
  };
}

/** When the last cycle began and the next one is due, by Redis' clock; null where that is not known. */
function describeCycles(replay: SourceReplay): { lastCycle: string | null; nextCycle: string | null } {
  const snapshot = replay.lastSnapshot();
  if (!snapshot || snapshot.record.cycle === 0) return { lastCycle: null, nextCycle: null };
  const { nowMs, record } = snapshot;
  return {
    lastCycle: new Date(record.startedAtMs).toISOString(),
    nextCycle: new Date(nowMs + replay.nextCycleInMs()).toISOString(),
  };
}
