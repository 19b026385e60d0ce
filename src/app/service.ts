/** The long-running service: builds the parts in order, runs until told to stop, and takes them down again. */
import { LiveSettings } from "../config/dynamic.ts";
import type { Settings } from "../config/fields.ts";
import { parseServers, REDIS_PORT } from "../config/redis_url.ts";
import { TLS_FILES, usesTls } from "../config/rules.ts";
import { loadSources } from "../config/load.ts";
import type { SourcesFile } from "../config/sources_file.ts";
import type { SloName } from "../domain/slo.ts";
import { type HealthState, startHealthServer } from "../http/health_server.ts";
import { startMetricsServer } from "../http/metrics_server.ts";
import type { Log } from "../observability/log.ts";
import { type CutReason, type HTTP_PORTS, Metrics } from "../observability/metrics.ts";
import { NO_TRACER, type Tracer } from "../observability/tracing.ts";
import { CONFIG_CHANNEL, ConfigWatcher } from "../redis/config_watcher.ts";
import type { SentinelGroup } from "../redis/address.ts";
import { RedisConnections } from "../redis/connection.ts";
import { COMMIT_RESULTS } from "../redis/dead_letter_store.ts";
import { ReadBudget } from "../redis/read_budget.ts";
import { REDIS_ERROR_CODES, redisErrorCode } from "../redis/errors.ts";
import { ReplayLoop } from "../replay/loop.ts";
import { type Clock } from "../runtime/clock.ts";
import { droppedErr, readProcessUsage, readTextFile } from "../runtime/process.ts";
import { createId, type RandomFraction } from "../runtime/random.ts";
import { SloMonitor } from "../slo/monitor.ts";
import { EXIT } from "./exit.ts";
import { inspectRedis } from "./preflight.ts";
import { createSourceParts, type SourceParts } from "./source_parts.ts";
import { describeForMetrics, type DrivenSource, SourceSet } from "./source_set.ts";
import { createSources, type SourceSetup } from "./sources.ts";
import { SourcesReloader } from "./sources_reloader.ts";
import { Teardown } from "./teardown.ts";
import { COMMIT, VERSION } from "./version.ts";

/** Pause before Redis is looked at again where it refused to answer, in milliseconds. */
const PREFLIGHT_RETRY_MS = 1_000;

/** Largest possible reads that all sources together hold at once: one is committed while the next is read. */
const LARGE_READS = 2;

/** What the outside gives to a service. */
export interface AppOptions {
  readonly settings: Settings;
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
}

/** Parts that `run` and `once` both need. */
export interface Core {
  readonly live: LiveSettings;
  readonly metrics: Metrics;
  readonly connections: RedisConnections;
  readonly watcher: ConfigWatcher;
  /** The sources that are switched on. */
  readonly setups: readonly SourceSetup[];
  /** Builds a source; nothing runs until it is driven, and its builder stops it. */
  readonly createParts: (setup: SourceSetup) => SourceParts;
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
  if (!setups.some(({ gates }) => gates.includes("downstream"))) metrics.moogHealth.set(1);
  const readPem = (key: typeof TLS_FILES[number]) =>
    settings[key] !== "" && usesTls(settings) ? readTextFile(settings[key]) : "";
  const connections = new RedisConnections({
    url: settings.redisUrl,
    host: settings.redisHost,
    port: settings.redisPort,
    db: settings.redisDb,
    username: settings.redisUsername,
    password: settings.redisPassword,
    passwordNext: settings.redisPasswordNext,
    tls: settings.redisTls,
    sentinel: sentinelsOf(settings),
    clusterNodes: settings.redisUrl ? [] : parseServers(settings.redisClusterNodes.join(","), REDIS_PORT) ?? [],
    caCert: readPem("redisCaCertPath"),
    clientCert: readPem("redisClientCertPath"),
    clientKey: readPem("redisClientKeyPath"),
    serverName: settings.redisServerName,
  }, { clock, random, log: log.child("redis"), onReconnect: () => metrics.redisReconnects.inc() });
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
  const readBudget = new ReadBudget(LARGE_READS * Math.max(settings.chunkBytes, settings.maxMessageBytes));
  const createParts = (setup: SourceSetup) =>
    createSourceParts(setup, { live, isConfigKnown, connections, readBudget, instance, metrics, log, clock, tracer });
  return { live, metrics, connections, watcher, setups, createParts };
}

function sloTargets(settings: Settings): Readonly<Record<SloName, number>> {
  return {
    time_to_drain: settings.sloDrainTarget,
    oldest_age: settings.sloOldestAgeTarget,
    redrive_success: settings.sloRedriveTarget,
    downstream_availability: settings.sloDownstreamTarget,
  };
}

function sentinelsOf(settings: Settings): SentinelGroup {
  return {
    servers: parseServers(settings.redisSentinels.join(",")) ?? [],
    master: settings.redisSentinelMaster,
    username: settings.redisSentinelUsername,
    password: settings.redisSentinelPassword,
  };
}

/** Builds every source that is switched on, for a command that ends; `teardown` stops them. */
export function createAllParts({ setups, createParts }: Core, teardown: Teardown): readonly SourceParts[] {
  return setups.map((setup) => {
    const source = createParts(setup);
    teardown.add(`the gates of ${setup.policy.name}`, () => source.stop());
    return source;
  });
}

/** Runs the service until the signal. Resolves with the exit code. */
export async function runService(options: AppOptions): Promise<number> {
  const { settings, log, clock, signal } = options;
  const teardown = new Teardown({ clock, log });
  const ending = new AbortController();
  const failed = Promise.withResolvers<number>();
  try {
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
      "Remediation: SIGHUP, but there is nothing to read again (REMEDIATION_SOURCES_PATH is not set)";
    options.onHangup?.(() => reloader ? reloader.ask() : log.info("nothing_to_reload", nothingToReload));
    const slos = createSloMonitor(options, { core, sources });
    teardown.add("the objectives", () => slos.stop());
    slos.start();
    listen(options, { core, sources, slos, teardown });
    core.watcher.start();
    core.live.onChange(() => sources.list().forEach(({ loop }) => loop.wake()));
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
  { settings, log, clock, signal }: AppOptions,
  { core, sources, slos, teardown }: { core: Core; sources: SourceSet; slos: SloMonitor; teardown: Teardown },
): void {
  const common = { bindAddress: settings.bindAddress, clock, log: log.child("http") };
  const count = (port: typeof HTTP_PORTS[number]) => (reason: CutReason) => core.metrics.httpCut.inc({ port, reason });
  const metrics = startMetricsServer({
    ...common,
    port: settings.metricsPort,
    metrics: core.metrics,
    onCut: count("metrics"),
  });
  teardown.add("the metrics port", () => metrics.stop());
  const health = startHealthServer({
    ...common,
    port: settings.healthPort,
    onCut: count("health"),
    health: () => describeHealth({ core, sources: sources.list(), signal }),
    slo: () => slos.report(),
    version: VERSION,
    podName: settings.podName,
  });
  teardown.add("the health port", () => health.stop());
  log.info("listening", `Remediation ${VERSION} listens on ${settings.bindAddress}`, {
    metrics_port: metrics.port,
    health_port: health.port,
  });
}

/** Waits for Redis for ever, looks at it once, then lets the loops turn. Resolves with 0 once they do, or on the signal. */
async function drive(
  { log, clock, signal }: AppOptions,
  { core, sources, reloader, teardown }: {
    core: Core;
    sources: SourceSet;
    reloader: SourcesReloader | null;
    teardown: Teardown;
  },
): Promise<number> {
  const { connections } = core;
  const askGates = () => Promise.all(sources.list().map(({ parts }) => parts.board.ask()));
  // The gates are asked from the start, so that metrics and log tell why nothing moves.
  let inspected = false;
  while (!inspected && !signal.aborted) {
    if (!await connections.waitUntilReady(1_000, signal)) {
      await askGates();
      continue;
    }
    try {
      const { problems, warnings } = await inspectRedis(connections.reader, core.setups.map(({ policy }) => policy));
      for (const warning of warnings) log.warning("redis_unknown", warning);
      for (const problem of problems) log.error("redis_unsafe", problem);
      if (problems.length > 0) return EXIT.configuration;
      inspected = true;
    } catch (error) {
      tellRefusal(error, { core, log });
      await askGates();
      await clock.sleep(PREFLIGHT_RETRY_MS, signal);
    }
  }
  if (!signal.aborted) await core.watcher.readOnce();
  if (signal.aborted) return EXIT.done;
  // Before the ports: health answers until the last chunk is done.
  teardown.add("the replay loops", () => sources.stop());
  sources.drive();
  if (reloader) {
    teardown.add("the sources file", () => reloader.stop());
    reloader.start();
  }
  return EXIT.done;
}

/** Counts a refusal at the start; what lost connections do they tell themselves. */
function tellRefusal(error: unknown, { core, log }: { core: Core; log: Log }): void {
  const code = redisErrorCode(error);
  core.metrics.redisErrors.inc({ code });
  if (code !== "CONNECTION") {
    log.warning("redis_refuses", `Redis cannot be looked at yet (${code}); trying again`, { code });
  }
}

function describeHealth(
  { core, sources, signal }: {
    core: Core;
    sources: readonly DrivenSource[];
    signal: AbortSignal;
  },
): HealthState {
  const isReady = core.connections.isReady();
  const started = sources.every(({ loop }) => loop.isStarted());
  const turning = sources.every(({ loop }) => loop.isTurning());
  return {
    live: { ok: turning, reason: turning ? "turning" : "the replay loop does not turn" },
    ready: signal.aborted
      ? { ok: false, reason: "stopping" }
      : isReady
      ? { ok: started, reason: started ? "ready" : "Redis has not been looked at yet" }
      : { ok: false, reason: `Redis cannot be used (${core.connections.lastErrorCode() || "CONNECTING"})` },
    details: {
      redis: isReady ? "connected" : "disconnected",
      replay: core.live.current().enabled ? "on" : "off",
      sources: sources.map(({ parts: { setup, board, replay, leadership } }) => ({
        name: setup.policy.name,
        dlq: setup.policy.dlq,
        role: leadership.status().role,
        leader: leadership.status().holder || null,
        depth: replay.lastSnapshot()?.depth ?? null,
        gates: board.last().statuses.map(({ name, open, reason, detail, sinceMs, nextMs }) => ({
          ...{ name, open, reason, detail },
          since: new Date(sinceMs).toISOString(),
          next: nextMs === undefined ? null : new Date(nextMs).toISOString(),
        })),
      })),
    },
  };
}
