/** MUTT's own sources, and every source that is switched on: made from the settings and the sources file. */
import type { Settings } from "../config/fields.ts";
import type { SourceEntry } from "../config/source_fields.ts";
import {
  BUILT_IN_LISTS,
  type BuiltInName,
  isBuiltIn,
  NO_SOURCES_FILE,
  type SourcesFile,
} from "../config/sources_file.ts";
import { GATE_NAMES } from "../gates/gate.ts";
import { declareSource, fileMember, overridePolicy, type SourceDefinition } from "../gates/source_definition.ts";

/** Limit for `alerter`: MUTT's warn threshold; the alerter sheds over twice as many (contract §1.3). */
const ALERTER_DEPTH_LIMIT = 1_000;
/** Limit for `moog`: a quarter of what the alerter sheds over. */
const MOOG_DEPTH_LIMIT = 500;
/** The forwarder tries an alert for 63 s before it dead-letters it (contract §1.4). */
const MOOG_SETTLE_MS = 70_000;
/** The forwarder takes this answer for a failure and dead-letters the alert (contract §1.4). */
const NOT_FOR_FORWARDER = 202;

/** Every source that is switched on: the built-in ones in the order in which they are named, then the declared ones. */
export function createSources(settings: Settings, file: SourcesFile = NO_SOURCES_FILE): readonly SourceDefinition[] {
  const builtIn = settings.sources.map((name) => override(BUILT_IN[name](settings), file.get(name) ?? {}));
  const declared = [...file].filter(([name]) => !isBuiltIn(name)).map(([name, entry]) => declareSource(name, entry));
  const sources = [...builtIn, ...declared];
  // Another process may run the built-in one.
  const feeding = sources.filter(({ policy }) => policy.target === settings.alertQueue).map(({ policy }) => policy.dlq);
  const dlqs = [...new Set([settings.moogDlq, ...feeding])].sort();
  return sources.map((source) =>
    source.provenByAlerts ? { ...source, otherAlertDlqs: dlqs.filter((dlq) => dlq !== source.policy.dlq) } : source
  );
}

/** Whether a source is replayed only while Moogsoft takes events. */
export function needsMoogsoft(setups: readonly SourceDefinition[]): boolean {
  return setups.some(({ gates }) => gates.includes("downstream"));
}

const BUILT_IN: Readonly<Record<BuiltInName, (settings: Settings) => SourceDefinition>> = {
  alerter: (settings) => ({
    ...BUILT_IN_DEFAULTS,
    policy: {
      ...listsOf("alerter", settings),
      counter: "_moog_retry_count",
      cutOnReplay: ["_retry_count", "shedding_reason"],
      required: ["hostname", "timestamp", "message"],
    },
    gates: GATE_NAMES.filter((name) => name !== "breaker"),
    downstreamQueues: [settings.ingestQueue, settings.alertQueue],
    depthLimit: { fixed: null, fallback: ALERTER_DEPTH_LIMIT, byWarnThreshold: true },
    heartbeatPrefix: settings.alerterHeartbeatPrefix,
    healthUrl: settings.alerterHealthUrl,
    successCodes: settings.moogHealthSuccessCodes,
    consumerLagMs: 0,
  }),
  moog: (settings) => ({
    ...BUILT_IN_DEFAULTS,
    policy: {
      ...listsOf("moog", settings),
      // A count of 6 there means that an outage used the retries up, not that the alert is poison.
      counter: null,
      cutOnReplay: ["_moog_retry_count"],
      required: [],
    },
    gates: GATE_NAMES,
    downstreamQueues: [settings.alertQueue],
    depthLimit: { fixed: null, fallback: MOOG_DEPTH_LIMIT, byWarnThreshold: false },
    heartbeatPrefix: settings.moogHeartbeatPrefix,
    healthUrl: "",
    successCodes: settings.moogHealthSuccessCodes.filter((code) => code !== NOT_FOR_FORWARDER),
    consumerLagMs: MOOG_SETTLE_MS,
  }),
};

const BUILT_IN_DEFAULTS = {
  provenByAlerts: true,
  otherAlertDlqs: [],
  maxReplays: null,
  maxPerSecond: null,
  healthUrlFrom: "ALERTER_HEALTH_URL",
} as const;

function listsOf(name: BuiltInName, settings: Settings) {
  const { dlq, target, dead } = BUILT_IN_LISTS[name];
  return { name, dlq: settings[dlq], target: settings[target], dead: settings[dead] };
}

/** A built-in source with the members that the file names in place of its own. */
function override(setup: SourceDefinition, entry: SourceEntry): SourceDefinition {
  const { policy, depthLimit } = setup;
  const target = entry.target ?? policy.target;
  return {
    ...setup,
    policy: overridePolicy(policy, entry),
    maxReplays: entry.maxReplays ?? null,
    maxPerSecond: entry.maxPerSecond ?? null,
    provenByAlerts: target === policy.target,
    downstreamQueues: [target, ...setup.downstreamQueues.slice(1)],
    depthLimit: { ...depthLimit, fixed: entry.targetMaxDepth ?? null },
    healthUrl: entry.healthUrl ?? setup.healthUrl,
    healthUrlFrom: entry.healthUrl === undefined ? setup.healthUrlFrom : fileMember(setup, "healthUrl"),
  };
}
