/** The definition of a source: its policy, and the settings of its gates. */
import type { SourceEntry } from "../config/source_fields.ts";
import type { ReplayWindow } from "../config/window.ts";
import {
  type BesideRecord,
  DEFAULT_RECORD_HOURS,
  type MessageDisplay,
  type SourcePolicy,
} from "../message/source_policy.ts";
import { GATE_NAMES, type GateName, hasTrait } from "./gate.ts";

/** Defines a source and the settings of its gates. Plain data: definitions with equal fields are equal. */
export interface SourceDefinition {
  readonly policy: SourcePolicy;
  readonly display: MessageDisplay;
  /** Its gates, in display order. */
  readonly gates: readonly GateName[];
  /** Windows that the gate `window` goes by: those of all sources, then its own. */
  readonly windows: readonly ReplayWindow[];
  /** Number of failures that make a message poison; `null`: `MAX_POISON_RETRIES` applies. */
  readonly maxReplays: number | null;
  /** Its pace in messages per second; `null`: `REMEDIATION_MAX_PER_SECOND` applies. */
  readonly maxPerSecond: "auto" | number | null;
  /** Downstream queues, the target first. The depth gate limits the sum of their lengths, and the pace counts it as waiting. */
  readonly downstreamQueues: readonly string[];
  readonly depthLimit: DepthLimit;
  /** The consumer's heartbeat keys are `<prefix>:<pod>`; `null` if it has none. */
  readonly heartbeatPrefix: string | null;
  /** URL of the consumer that must answer 200; empty: no request is sent. */
  readonly healthUrl: string;
  /** Name of the setting that holds that URL, for messages. */
  readonly healthUrlFrom: string;
  /** Moogsoft's status codes that the consumer treats as success. */
  readonly successCodes: readonly number[];
  /** Whether its consumers are MUTT's: live alerts that get through then prove that they work. */
  readonly provenByAlerts: boolean;
  /** DLQs of other sources that replay into the queue of the forwarder. */
  readonly otherAlertDlqs: readonly string[];
  /** Longest time until a failed replay is back in the DLQ, in milliseconds: the shortest interval between cycles. */
  readonly consumerLagMs: number;
}

/** Limit of the depth gate. */
export interface DepthLimit {
  /** Limit from the sources file, which overrides every variable; `null` if the file sets none. */
  readonly fixed: number | null;
  /** Limit if no variable sets one. */
  readonly fallback: number;
  /** Whether MUTT's dynamic key overrides the fallback. */
  readonly byWarnThreshold: boolean;
}

/** Limit for a declared source that sets none. */
const DECLARED_DEPTH_LIMIT = 1_000;

/** Returns the path of a source's member in the sources file. */
export function fileMember({ policy }: SourceDefinition, member: keyof SourceEntry): string {
  return `sources.${policy.name}.${member}`;
}

/** Returns the policy with the members that the sources file overrides. */
export function overridePolicy(policy: SourcePolicy, entry: SourceEntry): SourcePolicy {
  return {
    name: policy.name,
    push: entry.push ?? policy.push,
    dlq: entry.dlq ?? policy.dlq,
    target: entry.target ?? policy.target,
    dead: entry.dead ?? policy.dead,
    counter: entry.counter === undefined ? policy.counter : entry.counter,
    cutOnReplay: entry.cutOnReplay ?? policy.cutOnReplay,
    required: entry.required ?? policy.required,
    unwrap: (entry.unwrap === undefined ? policy.unwrap : entry.unwrap) ?? null,
    ...(entry.record === "beside" ? { beside: besideRecord(entry) } : {}),
  };
}

function besideRecord({ recordId, recordFor = DEFAULT_RECORD_HOURS }: SourceEntry): BesideRecord {
  return { idMember: recordId ?? null, keepMs: recordFor * 3_600_000 };
}

/** Returns the display with the members that the sources file overrides. */
export function overrideDisplay(display: MessageDisplay, entry: SourceEntry): MessageDisplay {
  const { show = display.show, groupBy = display.groupBy, secret = display.secret } = entry;
  return { show, groupBy, secret };
}

/**
 * Returns the definition of a source from the sources file. The source does not use Moogsoft, and its consumer has no MUTT
 * heartbeat, so only a health URL can check it. @throws {TypeError} if the entry does not name all three lists
 */
export function declareSource(name: string, entry: SourceEntry): SourceDefinition {
  const { dlq, target, dead } = entry;
  if (dlq === undefined || target === undefined || dead === undefined) {
    throw new TypeError(`source ${name} lacks a list`);
  }
  const lists = { push: "LPUSH", dlq, target, dead } as const;
  const policy = overridePolicy({ name, ...lists, counter: null, cutOnReplay: [], required: [] }, entry);
  const healthUrl = entry.healthUrl ?? "";
  const setup: SourceDefinition = {
    policy,
    display: overrideDisplay({ show: [], groupBy: [], secret: [] }, entry),
    gates: GATE_NAMES.filter((gate) => hasTrait(gate, "isOnEverySource") || (gate === "consumer" && healthUrl !== "")),
    // `createSources` adds them, with those of all sources.
    windows: [],
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
