/** Builds every enabled source from the settings and the sources file: MUTT's own and the declared ones. */
import type { Settings } from "../config/fields.ts";
import type { SourceEntry } from "../config/source_fields.ts";
import { BUILT_IN_LISTS, type BuiltInName, isBuiltIn, NO_SOURCES_FILE, type SourcesFile } from "../config/sources.ts";
import { toWindow } from "../config/window.ts";
import { GATE_NAMES } from "../gates/gate.ts";
import {
  declareSource,
  fileMember,
  overrideDisplay,
  overridePolicy,
  type SourceDefinition,
} from "../gates/source_definition.ts";

/** Depth limit of `alerter`: MUTT's warn threshold. The alerter sheds above twice this depth (contract §1.3). */
const ALERTER_DEPTH_LIMIT = 1_000;
/** Depth limit of `moog`: a quarter of the depth at which the alerter sheds. */
const MOOG_DEPTH_LIMIT = 500;
/** The forwarder retries an alert for 63 s, then dead-letters it (contract §1.4). */
const MOOG_SETTLE_MS = 70_000;
/** The forwarder treats this status as a failure and dead-letters the alert (contract §1.4). */
const NOT_FOR_FORWARDER = 202;

/** Creates every enabled source: the built-in ones in the order of the setting, then the declared ones. */
export function createSources(settings: Settings, file: SourcesFile = NO_SOURCES_FILE): readonly SourceDefinition[] {
  const builtIn = settings.sources.map((name) => override(BUILT_IN[name](settings), file.sources.get(name) ?? {}));
  const declared = [...file.sources].filter(([name]) => !isBuiltIn(name))
    .map(([name, entry]) => declareSource(name, entry));
  const sources = [...builtIn, ...declared].map((source) => addWindows(source, file));
  // Another process may run the built-in source.
  const feeding = sources.filter(({ policy }) => policy.target === settings.alertQueue).map(({ policy }) => policy.dlq);
  const dlqs = [...new Set([settings.moogDlq, ...feeding])].sort();
  return sources.map((source) =>
    source.provenByAlerts ? { ...source, otherAlertDlqs: dlqs.filter((dlq) => dlq !== source.policy.dlq) } : source
  );
}

/** Adds the windows of all sources, then those of the source. */
function addWindows(setup: SourceDefinition, { sources, windows }: SourcesFile): SourceDefinition {
  const own = sources.get(setup.policy.name)?.windows ?? [];
  return { ...setup, windows: [...windows, ...own].map(toWindow) };
}

/** Whether any source has the gate `downstream`, which probes Moogsoft. */
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
      // A count of 6 means that an outage used up the retries. It does not prove a poison message.
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
  display: { show: ["hostname", "severity", "message"], groupBy: ["message"], secret: [] },
  provenByAlerts: true,
  otherAlertDlqs: [],
  windows: [],
  maxReplays: null,
  maxPerSecond: null,
  healthUrlFrom: "ALERTER_HEALTH_URL",
} as const;

function listsOf(name: BuiltInName, settings: Settings) {
  const { dlq, target, dead } = BUILT_IN_LISTS[name];
  // MUTT pushes to the left everywhere.
  return { name, push: "LPUSH" as const, dlq: settings[dlq], target: settings[target], dead: settings[dead] };
}

/** Applies the members that the sources file sets for a built-in source. */
function override(setup: SourceDefinition, entry: SourceEntry): SourceDefinition {
  const { policy, display, depthLimit } = setup;
  const target = entry.target ?? policy.target;
  return {
    ...setup,
    policy: overridePolicy(policy, entry),
    display: overrideDisplay(display, entry),
    maxReplays: entry.maxReplays ?? null,
    maxPerSecond: entry.maxPerSecond ?? null,
    provenByAlerts: target === policy.target,
    downstreamQueues: [target, ...setup.downstreamQueues.slice(1)],
    depthLimit: { ...depthLimit, fixed: entry.targetMaxDepth ?? null },
    healthUrl: entry.healthUrl ?? setup.healthUrl,
    healthUrlFrom: entry.healthUrl === undefined ? setup.healthUrlFrom : fileMember(setup, "healthUrl"),
  };
}
