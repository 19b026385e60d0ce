/** Builds the parts that the service and the commands both need. */
import type { SecretReader } from "../config/load.ts";
import type { Settings } from "../config/fields.ts";
import { createProxyChoice } from "../config/proxy.ts";
import { parseServers, REDIS_PORT } from "../config/redis_url.ts";
import { warnOfNoWebhook } from "../config/rules.ts";
import type { SourcesFile } from "../config/sources_file.ts";
import type { SourceDefinition } from "../gates/source_definition.ts";
import type { Teardown } from "../lifecycle/teardown.ts";
import { createSources, needsMoogsoft } from "../mutt/built_in_sources.ts";
import { LiveSettings } from "../mutt/dynamic_keys.ts";
import { CONFIG_CHANNEL, ConfigWatcher } from "../mutt/dynamic_keys_watcher.ts";
import { MoogAccess } from "../mutt/moogsoft_access.ts";
import type { VaultSecrets } from "../mutt/vault.ts";
import type { Log } from "../observability/log.ts";
import { Metrics } from "../observability/metrics.ts";
import { NO_TRACER, type Tracer } from "../observability/tracing.ts";
import type { RedisAddress, SentinelGroup } from "../redis/address.ts";
import { RedisConnections } from "../redis/connection.ts";
import { COMMIT_RESULTS } from "../cycle/chunk.ts";
import { REDIS_ERROR_CODES } from "../redis/errors.ts";
import { ReadBudget } from "../redis/read_budget.ts";
import type { Clock } from "../runtime/clock.ts";
import { droppedErr, readProcessUsage } from "../runtime/process.ts";
import { createId, type RandomFraction } from "../runtime/random.ts";
import type { SloCounters } from "../slo/counters.ts";
import { sloTargets } from "../slo/create.ts";
import { SloMetrics } from "../slo/metrics.ts";
import { RenewedFiles } from "./renewed_files.ts";
import { createSourcePipeline, type SourcePipeline } from "./source_pipeline.ts";
import { describeForMetrics } from "./running_sources.ts";
import { COMMIT, VERSION } from "./version.ts";

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
  /** What the service level objectives count. */
  readonly sloCounters: SloCounters;
  readonly connections: RedisConnections;
  /** What connections are made with. */
  readonly files: RenewedFiles;
  readonly watcher: ConfigWatcher;
  /** The sources that are switched on. */
  readonly setups: readonly SourceDefinition[];
  /** Builds a source; nothing runs until it is driven, and its builder stops it. */
  readonly createParts: (setup: SourceDefinition) => SourcePipeline;
  /** Calls `listener` each time the connections are there again. */
  readonly onReconnect: (listener: () => void) => void;
}

/** Builds the parts; connecting begins in the background. What must be undone is added to `teardown`. */
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
  // The gauge says 1 where Moogsoft is not asked (docs/differences-from-mutt.md).
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
  const shared = {
    live,
    isConfigKnown,
    connections,
    readBudget,
    instance,
    metrics,
    sloCounters,
    log,
    clock,
    tracer,
    ...asking,
  };
  const createParts = (setup: SourceDefinition) => createSourcePipeline(setup, shared);
  const onReconnect = (listener: () => void) => void reconnected.push(listener);
  return { live, metrics, sloCounters, connections, files, watcher, setups, createParts, onReconnect };
}

/** Where Redis is and how to log in: certificates and secrets as the files hold them whenever a connection is made. */
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
