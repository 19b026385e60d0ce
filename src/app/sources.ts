/** The sources, made from the settings and the sources file. */
import type { Settings } from "../config/fields.ts";
import type { SourceEntry } from "../config/source_fields.ts";
import {
  BUILT_IN_LISTS,
  type BuiltInName,
  isBuiltIn,
  NO_SOURCES_FILE,
  type SourcesFile,
} from "../config/sources_file.ts";
import type { SourcePolicy } from "../message/source_policy.ts";
import { GATE_NAMES, type GateName, hasTrait } from "../gates/gate.ts";

/** A source and what its gates look at. Plain data: two that look the same are the same. */
export interface SourceSetup {
  readonly policy: SourcePolicy;
  /** Its gates, in the order in which they are shown. */
  readonly gates: readonly GateName[];
  /** Failures after which a message is poison; `null`: `MAX_POISON_RETRIES`. */
  readonly maxReplays: number | null;
  /** Its pace; `null`: `REMEDIATION_MAX_PER_SECOND`. */
  readonly maxPerSecond: "auto" | number | null;
  /** Queues whose lengths together the depth gate bounds, and that the pace counts as waiting; the target first. */
  readonly downstreamQueues: readonly string[];
  readonly depthLimit: DepthLimit;
  /** Heartbeat keys of the consumer are `<prefix>:<pod>`; `null`: it has none. */
  readonly heartbeatPrefix: string | null;
  /** URL of the consumer that must answer 200; empty: not asked. */
  readonly healthUrl: string;
  /** What sets that URL, for people. */
  readonly healthUrlFrom: string;
  /** Answers of Moogsoft that its consumer takes for success. */
  readonly successCodes: readonly number[];
  /** Whether its consumers are MUTT's, so that live alerts that get through prove that they work. */
  readonly provenByAlerts: boolean;
  /** DLQs of other sources that are replayed into the queue before the forwarder. */
  readonly otherAlertDlqs: readonly string[];
  /** How long its consumer may take until what fails is back: shortest time from cycle to cycle. */
  readonly settleMs: number;
}

/** Limit of the depth gate. */
export interface DepthLimit {
  /** What the sources file says; it wins over every variable. `null`: nothing. */
  readonly fixed: number | null;
  /** The limit where no variable sets one. */
  readonly fallback: number;
  /** Whether MUTT's dynamic key comes before that. */
  readonly byWarnThreshold: boolean;
}

/** Limit for `alerter`: MUTT's warn threshold; the alerter sheds over twice as many (contract §1.3). */
const ALERTER_DEPTH_LIMIT = 1_000;
/** Limit for `moog`: a quarter of what the alerter sheds over. */
const MOOG_DEPTH_LIMIT = 500;
/** The forwarder tries an alert for 63 s before it dead-letters it (contract §1.4). */
const MOOG_SETTLE_MS = 70_000;
/** Limit for a declared source that names none. */
const DECLARED_DEPTH_LIMIT = 1_000;
/** The forwarder takes this answer for a failure and dead-letters the alert (contract §1.4). */
const NOT_FOR_FORWARDER = 202;

/** Every source that is switched on: the built-in ones in the order in which they are named, then the declared ones. */
export function createSources(settings: Settings, file: SourcesFile = NO_SOURCES_FILE): readonly SourceSetup[] {
  const builtIn = settings.sources.map((name) => override(BUILT_IN[name](settings), file.get(name) ?? {}));
  const declared = [...file].filter(([name]) => !isBuiltIn(name)).map(([name, entry]) => declare(name, entry));
  const sources = [...builtIn, ...declared];
  // Another process may run the built-in one.
  const feeding = sources.filter(({ policy }) => policy.target === settings.alertQueue).map(({ policy }) => policy.dlq);
  const dlqs = [...new Set([settings.moogDlq, ...feeding])].sort();
  return sources.map((source) =>
    source.provenByAlerts ? { ...source, otherAlertDlqs: dlqs.filter((dlq) => dlq !== source.policy.dlq) } : source
  );
}

/** How the sources file calls a member of a source. */
export function fileMember({ policy }: SourceSetup, member: keyof SourceEntry): string {
  return `sources.${policy.name}.${member}`;
}

const BUILT_IN: Readonly<Record<BuiltInName, (settings: Settings) => SourceSetup>> = {
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
    settleMs: 0,
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
    settleMs: MOOG_SETTLE_MS,
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
function override(setup: SourceSetup, entry: SourceEntry): SourceSetup {
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

function overridePolicy(policy: SourcePolicy, entry: SourceEntry): SourcePolicy {
  return {
    name: policy.name,
    dlq: entry.dlq ?? policy.dlq,
    target: entry.target ?? policy.target,
    dead: entry.dead ?? policy.dead,
    counter: entry.counter === undefined ? policy.counter : entry.counter,
    cutOnReplay: entry.cutOnReplay ?? policy.cutOnReplay,
    required: entry.required ?? policy.required,
  };
}

/**
 * A source of somebody else's pipeline: nothing of Moogsoft concerns it. Its consumer has no heartbeat of MUTT's kind, so it
 * is asked only by its URL.
 */
function declare(name: string, entry: SourceEntry): SourceSetup {
  const { dlq, target, dead } = entry;
  if (dlq === undefined || target === undefined || dead === undefined) {
    throw new TypeError(`source ${name} lacks a list`);
  }
  const policy = overridePolicy({ name, dlq, target, dead, counter: null, cutOnReplay: [], required: [] }, entry);
  const healthUrl = entry.healthUrl ?? "";
  const setup: SourceSetup = {
    policy,
    gates: GATE_NAMES.filter((gate) => hasTrait(gate, "isOnEverySource") || (gate === "consumer" && healthUrl !== "")),
    maxReplays: entry.maxReplays ?? null,
    maxPerSecond: entry.maxPerSecond ?? 0,
    downstreamQueues: [target],
    depthLimit: { fixed: entry.targetMaxDepth ?? DECLARED_DEPTH_LIMIT, fallback: 0, byWarnThreshold: false },
    ...{
      heartbeatPrefix: null,
      healthUrl,
      healthUrlFrom: "",
      successCodes: [],
      settleMs: 0,
      provenByAlerts: false,
      otherAlertDlqs: [],
    },
  };
  return { ...setup, healthUrlFrom: fileMember(setup, "healthUrl") };
}
