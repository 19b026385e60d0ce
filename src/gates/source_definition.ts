/** What a source is: its policy, and what its gates look at. */
import type { SourceEntry } from "../config/source_fields.ts";
import type { SourcePolicy } from "../message/source_policy.ts";
import { GATE_NAMES, type GateName, hasTrait } from "./gate.ts";

/** A source and what its gates look at. Plain data: two that look the same are the same. */
export interface SourceDefinition {
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
  readonly consumerLagMs: number;
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

/** Limit for a declared source that names none. */
const DECLARED_DEPTH_LIMIT = 1_000;
/** Gates of a declared source whose consumer is not asked. */

/** How the sources file calls a member of a source. */
export function fileMember({ policy }: SourceDefinition, member: keyof SourceEntry): string {
  return `sources.${policy.name}.${member}`;
}

/** A source's policy with the members that the file names in place of its own. */
export function overridePolicy(policy: SourcePolicy, entry: SourceEntry): SourcePolicy {
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
 * is asked only by its URL. @throws {TypeError} where the entry names not all three lists
 */
export function declareSource(name: string, entry: SourceEntry): SourceDefinition {
  const { dlq, target, dead } = entry;
  if (dlq === undefined || target === undefined || dead === undefined) {
    throw new TypeError(`source ${name} lacks a list`);
  }
  const policy = overridePolicy({ name, dlq, target, dead, counter: null, cutOnReplay: [], required: [] }, entry);
  const healthUrl = entry.healthUrl ?? "";
  const setup: SourceDefinition = {
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
      consumerLagMs: 0,
      provenByAlerts: false,
      otherAlertDlqs: [],
    },
  };
  return { ...setup, healthUrlFrom: fileMember(setup, "healthUrl") };
}
