/** Creates the components that the service and the commands share. */
import type { SecretReader } from "../config/load.ts";
import type { Settings } from "../config/fields.ts";
import { type ChooseProxy, createProxyChoice } from "../config/proxy.ts";
import type { DrillNotices } from "../drill/notices.ts";
import type { LoadedFrom } from "../operations/context.ts";
import { parseServers, REDIS_PORT } from "../config/redis_url.ts";
import { warnOfNoWebhook } from "../config/rules.ts";
import type { NotifyFile } from "../config/notify.ts";
import type { SourcesFile } from "../config/sources.ts";
import type { SourceDefinition } from "../gates/source_definition.ts";
import type { EntryOf, NewEntry } from "../journal/entries.ts";
import { Journal } from "../journal/journal.ts";
import type { Teardown } from "../lifecycle/teardown.ts";
import { createSources, needsMoogsoft } from "../mutt/built_in_sources.ts";
import { LiveSettings } from "../mutt/dynamic_keys.ts";
import { CONFIG_CHANNEL, ConfigWatcher } from "../mutt/dynamic_keys_watcher.ts";
import { MoogAccess } from "../mutt/moogsoft_access.ts";
import type { VaultSecrets } from "../mutt/vault.ts";
import type { Log } from "../observability/log.ts";
import type { RecentLog } from "../observability/recent_log.ts";
import { Metrics, type ReloadResult } from "../observability/metrics.ts";
import { NO_TRACER, type Tracer } from "../observability/tracing.ts";
import type { RedisAddress, SentinelGroup } from "../redis/address.ts";
import { RedisConnections } from "../redis/connection.ts";
import { COMMIT_RESULTS } from "../cycle/chunk.ts";
import { REDIS_ERROR_CODES } from "../redis/errors.ts";
import { JournalStore } from "../redis/journal_store.ts";
import { ReadBudget } from "../redis/read_budget.ts";
import type { Clock } from "../runtime/clock.ts";
import { droppedErr, readProcessUsage } from "../runtime/process.ts";
import { createId, type RandomFraction } from "../runtime/random.ts";
import type { SloCounters } from "../slo/counters.ts";
import { sloTargets } from "../slo/create.ts";
import { SloMetrics } from "../slo/metrics.ts";
import type { Instance } from "../redis/lease_store.ts";
import { ReplicaStore } from "../redis/replica_store.ts";
import { Replicas } from "../replay/replicas.ts";
import { RenewedFiles } from "./renewed_files.ts";
import { createSourcePipeline, type SourcePipeline } from "./source_pipeline.ts";
import { describeForMetrics } from "./running_sources.ts";
import { COMMIT, VERSION } from "./version.ts";

/** Reads of maximum size that all sources together may hold: one chunk is committed while the next is read. */
const LARGE_READS = 2;

/** Dependencies and settings of the service. */
export interface AppOptions {
  readonly settings: Settings;
  /** Rereads a secret's file; default: secrets never change. */
  readonly readSecret?: SecretReader;
  /** The parsed sources file; default: none. */
  readonly sourcesFile?: SourcesFile;
  /** Receivers and rules of notifications; default: none are configured. */
  readonly notifyFile?: NotifyFile;
  /** Where the settings come from, to show it; default: every one counts as a default. */
  readonly loadedFrom?: LoadedFrom;
  readonly log: Log;
  /** The newest lines of `log`; default: none are kept. */
  readonly recentLog?: RecentLog;
  readonly clock: Clock;
  readonly random: RandomFraction;
  /** Exports spans; default: none. Stopped with the other components. */
  readonly tracer?: Tracer;
  /** Name of this instance as a lease holder; default: the pod's name. */
  readonly instanceName?: string;
  /** Whether to record what this process does by itself; default: false, for commands that only look. */
  readonly notesEvents?: boolean;
  /** Abort to stop. */
  readonly signal: AbortSignal;
  /** Registers a SIGHUP listener; default: SIGHUP is ignored. */
  readonly onHangup?: (listener: () => void) => void;
  /** Vault as a source of secrets, notified when Redis refuses one; default: not used. */
  readonly vault?: VaultSecrets;
}

/** Components that `run` and `once` share. */
export interface Core {
  readonly live: LiveSettings;
  readonly metrics: Metrics;
  /** Counters of the service level objectives. */
  readonly sloCounters: SloCounters;
  readonly connections: RedisConnections;
  readonly journal: Journal;
  /** The instances of the service. It is started when Redis is known to be the right one. */
  readonly replicas: Replicas;
  /** This process as a holder of leases. */
  readonly instance: Instance;
  readonly chooseProxy: ChooseProxy;
  /** Records what this process does by itself, if it is to. */
  readonly note: (entry: NewEntry) => void;
  /** Returns what counts and records each reload of a configuration. */
  readonly noteReload: (origin: EntryOf<"config">["origin"]) => (result: ReloadResult, detail: string) => void;
  /** Certificates and secrets for new connections. */
  readonly files: RenewedFiles;
  readonly watcher: ConfigWatcher;
  /** The enabled sources. */
  readonly setups: readonly SourceDefinition[];
  /** Creates a source. Nothing runs until it is started; the caller stops it. */
  readonly createParts: (setup: SourceDefinition) => SourcePipeline;
  /** Attaches what drills ask about notifications; before: none are configured. */
  readonly attachNotices: (notices: DrillNotices) => void;
  /** Calls `listener` after each reconnect. */
  readonly onReconnect: (listener: () => void) => void;
}

/** Creates the components and starts connecting in the background. Adds their cleanup to `teardown`. */
export function createCore(options: AppOptions, teardown: Teardown): Core {
  const { settings, sourcesFile, log, clock, random, tracer = NO_TRACER } = options;
  teardown.add("the spans", () => tracer.stop());
  const live = new LiveSettings(settings);
  const setups = createSources(settings, sourcesFile);
  const slo = new SloMetrics(sloTargets(settings)), sloCounters = slo.counters;
  const metrics = new Metrics({
    sources: setups.map(describeForMetrics),
    commitResults: [...COMMIT_RESULTS, "error"],
    redisErrorCodes: REDIS_ERROR_CODES,
    version: VERSION,
    commit: COMMIT,
    more: [slo],
    readProcessUsage,
  });
  metrics.showDroppedSpans((reason) => tracer.dropped(reason));
  metrics.showDroppedLines(() => droppedErr());
  // The gauge is 1 if Moogsoft is not probed (docs/differences-from-mutt.md).
  const noWebhook = warnOfNoWebhook(settings);
  if (!needsMoogsoft(setups)) metrics.moogHealth.set(1);
  else if (noWebhook !== null) log.warning("moogsoft_not_asked", `Remediation: ${noWebhook}`);
  const files = new RenewedFiles({ settings, readSecret: options.readSecret, log: log.child("redis") });
  const reconnected = [() => metrics.redisReconnects.inc()];
  const connections = new RedisConnections(redisAddress(settings, files), {
    ...{ clock, random, log: log.child("redis") },
    onReconnect: () => reconnected.forEach((tell) => tell()),
    onRefused: () => options.vault?.wake(),
  });
  teardown.add("the Redis connections", () => connections.close());
  const token = createId();
  const instance = { token, name: `${options.instanceName ?? settings.podName} (${token.slice(0, 8)})` };
  const journal = new Journal({
    ...{ clock, log: log.child("journal"), instance: instance.name, isReady: () => connections.isReady() },
    store: new JournalStore(connections),
  });
  teardown.add("the journal", () => journal.stop());
  const replicas = new Replicas({
    ...{ clock, log, instance, podName: settings.podName, version: VERSION, isReady: () => connections.isReady() },
    store: new ReplicaStore(connections.reader, instance),
  });
  teardown.add("the list of replicas", () => replicas.stop());
  const note = (entry: NewEntry) => options.notesEvents && journal.note(entry);
  const noteReload: Core["noteReload"] = (origin) => (result, detail) => {
    metrics.configReloads.inc({ result });
    note({ kind: "config", origin, result, detail });
  };
  const watcher = new ConfigWatcher({
    live,
    clock,
    reader: connections.reader,
    openSubscriber: () => connections.open("subscriber", CONFIG_CHANNEL),
    closeSubscriber: (subscriber) => connections.release(subscriber),
    log,
    onReload: noteReload("dynamic_key"),
  });
  teardown.add("the dynamic configuration", () => watcher.stop());
  const isConfigKnown = () => !settings.dynamicConfigEnabled || watcher.hasRead();
  const moog = new MoogAccess({ settings, readSecret: options.readSecret, log });
  const asking = { moogAccess: () => moog.now(), chooseProxy: createProxyChoice(settings) };
  const readBudget = new ReadBudget(LARGE_READS * Math.max(settings.chunkBytes, settings.maxMessageBytes));
  const shared = {
    live,
    isConfigKnown,
    connections,
    readBudget,
    instance,
    metrics,
    sloCounters,
    note,
    log,
    clock,
    tracer,
    ...asking,
  };
  let notices: DrillNotices | null = null;
  const createParts = (setup: SourceDefinition) => createSourcePipeline(setup, { ...shared, notices: () => notices });
  const onReconnect = (listener: () => void) => void reconnected.push(listener);
  return {
    ...{
      live,
      metrics,
      sloCounters,
      connections,
      journal,
      replicas,
      note,
      noteReload,
      files,
      watcher,
      setups,
      instance,
    },
    chooseProxy: asking.chooseProxy,
    ...{ createParts, onReconnect, attachNotices: (attached) => void (notices = attached) },
  };
}

/** Redis address and credentials. Certificates and secrets are reread from their files for each connection. */
function redisAddress(settings: Settings, files: RenewedFiles): RedisAddress {
  return {
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
