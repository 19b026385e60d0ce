/**
 * The long-running service: creates its components in order, runs until the signal, and stops them in reverse order.
 */
import { FIELDS, SETTING_KEYS } from "../config/fields.ts";
import { loopbacksFor } from "../config/loopback.ts";
import { hasApi } from "../config/rules.ts";
import { loadSources } from "../config/load.ts";
import { loadNotify, namesOfSources } from "../config/load_notify.ts";
import { NO_NOTIFY_FILE, type NotifyFile } from "../config/notify.ts";
import { NO_SOURCES_FILE, type SourcesFile } from "../config/sources.ts";
import { vaultTargets } from "../config/vault.ts";
import { GATE_NAMES } from "../gates/gate.ts";
import type { SourceDefinition } from "../gates/source_definition.ts";
import { createHealthHandler } from "../api/health.ts";
import { createMetricsHandler } from "../api/metrics.ts";
import { type Handler, LOOPBACK } from "../http/door.ts";
import { countStayingPlaces, HttpServer, ListenError } from "../http/server.ts";
import { Teardown } from "../lifecycle/teardown.ts";
import { createSources } from "../mutt/built_in_sources.ts";
import { withVault } from "../mutt/vault.ts";
import { RecentLog } from "../observability/recent_log.ts";
import type { CutReason, HTTP_PORTS } from "../observability/metrics.ts";
import type { LoadedFrom, Notifications, ServiceContext } from "../operations/context.ts";
import { inspectRedis } from "../operations/inspect_redis.ts";
import { slo } from "../operations/slo.ts";
import { readStatus } from "../operations/status.ts";
import { redisErrorCode } from "../redis/errors.ts";
import { ReplayLoop } from "../replay/loop.ts";
import { Spread } from "../replay/spread.ts";
import type { Clock } from "../runtime/clock.ts";
import { EXIT } from "../runtime/exit.ts";
import { createSloMonitor } from "../slo/create.ts";
import { objectivesOf } from "../slo/objectives.ts";
import { type AppOptions, type Core, createCore } from "./core.ts";
import { createDrillNotices } from "./drill_notices.ts";
import { compareNotify, compareSources, type SourcesTarget } from "./file_changes.ts";
import { FileReloader } from "./file_reloader.ts";
import { createLocalKey } from "./local_key.ts";
import type { Notifying, NotifyingOptions } from "./notifying.ts";
import { type RunningSource, RunningSources } from "./running_sources.ts";
import { type Reloader, startWhenRedisIsReady } from "./start.ts";
import { VERSION } from "./version.ts";

export { ListenError };

/** Every setting counts as a default. */
const LOADED_FROM_NOWHERE: LoadedFrom = {
  origins: Object.fromEntries(
    SETTING_KEYS.map((key) => [key, { layer: "default", variable: FIELDS[key].variable }]),
  ) as LoadedFrom["origins"],
  ...{ dotEnvPath: "", warnings: [] },
};

/** Runs the service until the signal aborts. Resolves with the exit code. @throws {ListenError} if a port is taken */
export async function runService(given: AppOptions): Promise<number> {
  const { settings, log, clock, signal } = given;
  const teardown = new Teardown({ clock, log });
  const ending = new AbortController();
  const failed = Promise.withResolvers<number>();
  try {
    const options = await withVault(given, teardown);
    const core = createCore({ ...options, notesEvents: true }, teardown);
    const onBug = (error: unknown) => {
      log.error("bug", "Remediation stops: bug in the replay loop, caused neither by Redis nor by a message", {
        error,
      });
      failed.resolve(EXIT.failed);
    };
    const sources = new RunningSources(core.setups, {
      metrics: core.metrics,
      build: (setup) => buildDriven(setup, { core, clock, onBug }),
    });
    const policies = () => sources.list().map(({ parts }) => parts.setup.policy);
    core.journal.attachSources(policies);
    core.replicas.attachSources(policies);
    teardown.add("the gates", () => sources.stop());
    const files = { sources: given.sourcesFile ?? NO_SOURCES_FILE, notify: given.notifyFile ?? NO_NOTIFY_FILE };
    const notifications = new LazyNotifying(() => ({
      ...{ core, sources, clock, signal, onBug, log, random: options.random, file: files.notify },
    }));
    const reloaders = createReloaders(options, { core, sources, notifications, files, onBug });
    const nothingToReload = "Remediation: SIGHUP ignored: no sources, certificates or secrets come from files or Vault";
    options.onHangup?.(() => {
      const hasFiles = core.files.readAll();
      options.vault?.wake();
      for (const reloader of reloaders) reloader.ask();
      if (reloaders.length === 0 && !hasFiles && !options.vault) log.info("nothing_to_reload", nothingToReload);
    });
    const slos = createSloMonitor(settings, {
      ...{ clock, windowMs: () => core.live.current().sloWindowMs },
      sources: () =>
        sources.list().map(({ parts: { setup, indicators, sloCounts, leadership } }) => ({
          ...{ name: setup.policy.name, indicators, sloCounts, role: () => leadership.status().role },
          objectives: objectivesOf(setup.gates),
        })),
    });
    teardown.add("the objectives", () => slos.stop());
    slos.start();
    teardown.add("the notices", () => notifications.stop());
    core.attachNotices(createDrillNotices({ notifications, journal: core.journal }));
    const { live, connections, journal, replicas } = core, { vault } = options;
    listen(options, {
      ...{ core, teardown },
      context: {
        recentLog: options.recentLog ?? new RecentLog(),
        ...{
          log,
          clock,
          signal,
          live,
          connections,
          journal,
          replicas,
          notifications,
          slos,
          version: VERSION,
          podName: settings.podName,
        },
        sources: () => sources.list(),
        inForce: () => ({
          ...given.loadedFrom ?? LOADED_FROM_NOWHERE,
          ...{ settings: live.current(), overridden: live.overridden(), shared: live.muttShared() },
          sourcesFile: files.sources,
          fromVault: vaultTargets(given.settings),
        }),
        ...(vault ? { vault } : {}),
      },
    });
    core.watcher.start();
    const wake = () => sources.list().forEach(({ loop }) => loop.wake());
    core.live.onChange(wake);
    // While a slot had no owner the pause grew; it must end when the slot has one.
    core.onReconnect(wake);
    const spread = createSpread(core, { sources, clock, log });
    const onSafe = () => {
      notifications.start();
      if (settings.leaderElection) spread.start();
    };
    const running = { core, sources, reloaders, teardown, onSafe };
    const driving = startWhenRedisIsReady({ log, clock, signal: AbortSignal.any([signal, ending.signal]) }, running)
      .then((code) => code === EXIT.done || failed.resolve(code), failed.reject);
    teardown.add("the spread of the sources", () => spread.stop());
    teardown.add("the wait for Redis", () => driving.then(() => {}));
    const stopped = Promise.withResolvers<number>();
    signal.addEventListener("abort", () => stopped.resolve(EXIT.done), { once: true });
    if (signal.aborted) stopped.resolve(EXIT.done);
    return await Promise.race([stopped.promise, failed.promise]);
  } finally {
    ending.abort();
    log.info("stopping", "Remediation is stopping after the current chunk");
    await teardown.run(settings.shutdownTimeoutMs);
    log.info("stopped", "Remediation has stopped");
  }
}

function buildDriven(
  setup: SourceDefinition,
  { core, clock, onBug }: { core: Core; clock: Clock; onBug: (error: unknown) => void },
): RunningSource {
  const parts = core.createParts(setup);
  const loop = new ReplayLoop(parts.turns, {
    clock,
    intervalMs: () => core.live.current().intervalMs,
    onPass: (seconds) => {
      core.metrics.loops.inc();
      core.metrics.loopDuration.observe(seconds);
    },
    onBug,
  });
  parts.leadership.attachLoop({ wake: () => loop.wake(), isTurning: () => loop.isTurning() });
  return { parts, loop };
}

function createSpread(
  { replicas, connections, metrics }: Core,
  { sources, clock, log }: { sources: RunningSources; clock: Clock; log: AppOptions["log"] },
): Spread {
  return new Spread({
    ...{ replicas, clock, log, isReady: () => connections.isReady() },
    sources: () =>
      sources.list().map(({ parts: { setup, leadership, replay } }) => {
        const record = replay.lastSnapshot()?.record;
        return {
          ...{ name: setup.policy.name, leadership },
          isBusy: record !== undefined && (record.job !== null || record.drill !== null),
        };
      }),
    onRedisError: (error) => metrics.redisErrors.inc({ code: redisErrorCode(error) }),
  });
}

/** The files in force. Reloaders replace them. */
interface FilesInForce {
  sources: SourcesFile;
  notify: NotifyFile;
}

/** Creates a reloader for each file that the settings name. */
function createReloaders(
  { settings, clock, log }: AppOptions,
  { core, sources, notifications, files, onBug }: {
    core: Core;
    sources: RunningSources;
    notifications: LazyNotifying;
    files: FilesInForce;
    onBug: (error: unknown) => void;
  },
): readonly Reloader[] {
  const target: SourcesTarget = {
    sources,
    createSources: (file) => createSources(settings, file),
    inspect: async (setups) => {
      const { problems } = await inspectRedis(core.connections.reader, setups.map(({ policy }) => policy));
      return problems;
    },
    onApplied: (file) => void (files.sources = file),
  };
  const apply = async (file: NotifyFile) => {
    files.notify = file;
    await notifications.replace(file);
  };
  const known = () => ({ gates: GATE_NAMES, sources: namesOfSources(settings, files.sources) });
  const shared = { clock, onBug, log: log.child("config") };
  return [
    ...(settings.sourcesPath === "" ? [] : [
      new FileReloader<SourcesFile>({
        ...{ ...shared, name: "sources", onReload: core.noteReload("sources_file") },
        load: () => loadSources(settings),
        compare: (file) => compareSources(file, target),
      }),
    ]),
    ...(settings.notifyPath === "" ? [] : [
      new FileReloader<NotifyFile>({
        ...{ ...shared, name: "notify", onReload: core.noteReload("notify_file") },
        load: () => loadNotify(settings, known()),
        compare: (file) => compareNotify(file, { current: files.notify, apply }),
      }),
    ]),
  ];
}

/** The notifier, loaded when it is needed first: it would delay the start. */
class LazyNotifying implements Notifications {
  readonly #options: () => NotifyingOptions;
  #loading: Promise<Notifying> | null = null;
  #isStopped = false;

  constructor(options: () => NotifyingOptions) {
    this.#options = options;
  }

  /** Starts it in the background. Call it when Redis is known to be safe: it writes to Redis. */
  start(): void {
    const { onBug } = this.#options();
    this.#load().then((notifying) => this.#isStopped || notifying.start()).catch(onBug);
  }

  /** Replaces the notify file, if the notifier was loaded with another one. */
  async replace(file: NotifyFile): Promise<void> {
    await (await this.#loading)?.replace(file);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#loading?.then((notifying) => notifying.stop(), () => {});
  }

  async read(): ReturnType<Notifications["read"]> {
    return await (await this.#load()).read();
  }

  async receivers(): Promise<readonly string[]> {
    return (await this.#load()).receivers();
  }

  async test(receiver: string, by: string): Promise<string | null> {
    return await (await this.#load()).test(receiver, by);
  }

  #load(): Promise<Notifying> {
    return this.#loading ??= import("./notifying.ts").then(({ createNotifying }) => createNotifying(this.#options()));
  }
}

/** Maximum number of clients of `/api/v1/events`, and of other streams and writes, if there are enough file descriptors. */
const MOST_EVENT_CLIENTS = 200, OTHER_STREAMS = 16;

/** Opens the ports. @throws the error of a failed bind, before any message has moved */
function listen(
  { settings, log, clock }: AppOptions,
  { core, context, teardown }: { core: Core; context: ServiceContext; teardown: Teardown },
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
      health: () => readStatus(context),
      slo: () => slo.run(context),
      ...{ version: VERSION, podName: settings.podName },
    }),
  });
  const apiPort = openApi({ settings, server, teardown, core, context });
  log.info("listening", `Remediation ${VERSION} listens on ${settings.bindAddress}`, {
    metrics_port: metricsPort,
    health_port: healthPort,
    ...(apiPort === null ? {} : { api_port: apiPort }),
  });
  if (apiPort === null) {
    const variables = [FIELDS.apiKeys, FIELDS.apiKeysPath].map(({ variable }) => variable).join(" or ");
    const advice = `set ${variables} to what mutt-remediation key new --name NAME --role viewer prints`;
    log.info("api_closed", `The API's port is not open, because there are no keys: ${advice}`);
  }
}

/**
 * Opens the port of the API and returns its number. Its code is loaded with the first request, so that it does not delay the
 * start. If the local key is the only one, the port listens on the loopback address. `null`: there are no keys, or only the local
 * key and the port is taken.
 */
function openApi(
  { settings, server, teardown, core, context }: {
    settings: AppOptions["settings"];
    server: HttpServer;
    teardown: Teardown;
    core: Core;
    context: ServiceContext;
  },
): number | null {
  const local = createLocalKey(settings.localKeyPath), isPublic = hasApi(settings);
  if (local) teardown.add("the local key", () => local.remove());
  if (!local && !isPublic) return null;
  const bindAddress = isPublic ? settings.bindAddress : LOOPBACK;
  const mostStaying = countStayingPlaces(MOST_EVENT_CLIENTS + OTHER_STREAMS);
  const mostEventClients = Math.min(MOST_EVENT_CLIENTS, mostStaying);
  const load = async () => {
    const { createApi } = await import("./api_port.ts");
    const api = createApi({ settings, core, context, mostEventClients, localKey: local?.key ?? null });
    teardown.add("the API's streams", () => api.stop());
    return api;
  };
  let loading: ReturnType<typeof load> | undefined;
  const handler: Handler = async (request, visit) => {
    const mine = loading ??= load();
    // After a failure, the next request tries again.
    const api = await mine.catch((error) => {
      if (loading === mine) loading = undefined;
      throw error;
    });
    return await api.handler(request, visit);
  };
  try {
    const port = server.open({
      ...{ bindAddress, port: settings.apiPort, portVariable: FIELDS.apiPort.variable },
      ...{ mostStaying, handler, onCut: (reason: CutReason) => core.metrics.httpCut.inc({ port: "api", reason }) },
    });
    local?.publish(`http://${loopbacksFor(bindAddress)[0]}:${port}`);
    return port;
  } catch (error) {
    if (isPublic || !(error instanceof ListenError)) throw error;
    context.log.warning("local_api_closed", `Commands on this machine cannot reach the API: ${error.message}`);
    return null;
  }
}
