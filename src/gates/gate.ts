/**
 * Gates: conditions that must hold before messages move. One table holds the traits of every gate. To add a gate, add a row
 * here and a file that creates the gate.
 */
import { REDIS_ERROR_CODES, type RedisErrorCode } from "../redis/errors.ts";
import { FETCH_FAILURES } from "../runtime/bounded_fetch.ts";

/** Traits of a gate that other parts of the service use; an absent trait is false. */
interface GateTraits {
  /** It opens and closes by itself while messages flow: it limits chunks, and the turn soon continues. */
  readonly limitsFlow?: true;
  /** Every source has it. A source has the other gates only if they apply to it. */
  readonly isOnEverySource?: true;
  /** No cycle begins while it is closed. */
  readonly blocksStart?: true;
  /** While it is closed, the downstream system is down: failed replays do not count against their messages. */
  readonly excusesFailures?: true;
  /** After a long closure, a source begins with a canary group. */
  readonly isFollowedByCanary?: true;
  /** It logs its own changes. The board logs those of all other gates. */
  readonly logsItself?: true;
  /** While it is closed, no backlog can drain, so the time does not count for the objective `time_to_drain`. */
  readonly stopsDrainClock?: true;
  /** It holds automatic replay, but not a job that an operator has confirmed. */
  readonly holdsAutomaticOnly?: true;
  /** It holds every move of a job, also those that do not go to the target. Other gates hold only a job's replays. */
  readonly holdsEveryMove?: true;
  /** An admin may override it for one job. */
  readonly canBeOverridden?: true;
  /** A drill may hold it, to simulate an outage. */
  readonly canBeDrilled?: true;
}

/** The name of a trait. */
export type GateTrait = keyof GateTraits;

/** A row of the table. */
interface GateRow extends GateTraits {
  /** Every reason that the gate gives, open or closed. If it is closed with `unknown`, its answer is still pending. */
  readonly reasons: readonly string[];
}

const REDIS_REASONS = REDIS_ERROR_CODES.map((code) => code.toLowerCase() as Lowercase<RedisErrorCode>);

/** Every gate, in display order. */
const GATES = {
  enabled: {
    reasons: ["enabled", "switched_off", "unknown"],
    isOnEverySource: true,
    blocksStart: true,
    stopsDrainClock: true,
    holdsEveryMove: true,
  },
  redis: {
    reasons: ["connected", "connecting", ...REDIS_REASONS],
    isOnEverySource: true,
    blocksStart: true,
    holdsEveryMove: true,
  },
  leader: {
    reasons: ["off", "leader", "standby", "unknown"],
    isOnEverySource: true,
    blocksStart: true,
    logsItself: true,
    holdsEveryMove: true,
  },
  pause: {
    reasons: ["none", "paused", "unknown"],
    isOnEverySource: true,
    blocksStart: true,
    stopsDrainClock: true,
    holdsAutomaticOnly: true,
  },
  window: {
    reasons: ["none", "inside", "outside", "frozen", "unknown"],
    isOnEverySource: true,
    blocksStart: true,
    // Not `excusesFailures`: the downstream system may be up. If it is down, the gates that check it say so.
    isFollowedByCanary: true,
    stopsDrainClock: true,
    canBeOverridden: true,
  },
  job: {
    reasons: ["none", "running", "paused"],
    isOnEverySource: true,
    blocksStart: true,
    stopsDrainClock: true,
    holdsAutomaticOnly: true,
  },
  consumer: {
    reasons: ["off", "alive", "gone", "unknown", "never_seen", "health_url_failed", "drill"],
    canBeDrilled: true,
    blocksStart: true,
    excusesFailures: true,
    isFollowedByCanary: true,
    stopsDrainClock: true,
    canBeOverridden: true,
  },
  downstream: {
    reasons: [
      ...["disabled", "no_url", "unknown", "healthy", "probe_rejected", "probe_202", "unhealthy", "tls"] as const,
      ...FETCH_FAILURES,
      "drill",
    ],
    canBeDrilled: true,
    blocksStart: true,
    excusesFailures: true,
    isFollowedByCanary: true,
    // In the words that MUTT's runbooks look for.
    logsItself: true,
    stopsDrainClock: true,
    canBeOverridden: true,
  },
  breaker: {
    reasons: ["disabled", "unknown", "closed", "absent", "abandoned", "open", "canary", "canary_sent"],
    blocksStart: true,
    excusesFailures: true,
    isFollowedByCanary: true,
    stopsDrainClock: true,
    canBeOverridden: true,
  },
  depth: {
    reasons: ["no_limit", "unknown", "room", "over_limit", "drill"],
    canBeDrilled: true,
    isOnEverySource: true,
    limitsFlow: true,
    // A full queue causes no failures, so it excuses none.
    isFollowedByCanary: true,
    canBeOverridden: true,
  },
  returns: {
    reasons: ["unknown", "healthy", "canary", "ramping", "common_failure"],
    isOnEverySource: true,
  },
  pace: {
    reasons: ["no_limit", "unknown", "room", "no_room"],
    isOnEverySource: true,
    limitsFlow: true,
    canBeOverridden: true,
  },
} as const satisfies Readonly<Record<string, GateRow>>;

/** The name of a gate. */
export type GateName = keyof typeof GATES;

/** Every gate, in display order. Closed set: metric labels use exactly these names. */
export const GATE_NAMES = Object.keys(GATES) as readonly GateName[];

/** Why a gate is open or closed, in snake_case. Every gate may give `error`: its check failed. */
export type GateReason<Name extends GateName = GateName> = (typeof GATES)[Name]["reasons"][number] | "error";

/** Returns the reasons that a gate may give, without `error`. */
export function reasonsOf<Name extends GateName>(name: Name): readonly GateReason<Name>[] {
  return GATES[name].reasons;
}

/** Returns whether a word names a gate. */
export function isGateName(word: string): word is GateName {
  return Object.hasOwn(GATES, word);
}

/** Returns whether a gate has a trait; false if the word names no gate. */
export function hasTrait(word: string, trait: GateTrait): boolean {
  const row: GateRow | null = isGateName(word) ? GATES[word] : null;
  return row?.[trait] ?? false;
}

/** Returns whether a closed gate only says that another instance leads: the source is not held. */
export function isStandby({ reason }: { readonly reason: GateReason }): boolean {
  return reason === "standby";
}

/** Returns whether an override by an admin lets a job through this closed gate. A freeze holds every job. */
export function yieldsToOverride({ name, reason }: { readonly name: GateName; readonly reason: GateReason }): boolean {
  return hasTrait(name, "canBeOverridden") && reason !== "frozen";
}

/** A gate's answer. */
export interface GateAnswer<Name extends GateName = GateName> {
  /** Whether messages may move as far as this gate is concerned. */
  readonly open: boolean;
  readonly reason: GateReason<Name>;
  /** One sentence for people: the observation and, if useful, the variable that decides it. Never contains a secret. */
  readonly detail: string;
  /** Most messages that may move now; absent if this gate sets no bound. Never 0 while open. */
  readonly room?: number;
  /** Milliseconds until the answer may change; absent if not known. */
  readonly retryInMs?: number;
  /** HTTP status of the last answer of a system that the gate asks; absent if it did not answer. */
  readonly status?: number;
  /** How often in a row that system was asked and failed like this; absent if the gate is open, or this is not counted. */
  readonly failures?: number;
  /** The gate is open for one message. It gets its own cycle, and its return does not count as a failure. */
  readonly canary?: true;
}

/** One gate of one source. */
export interface Gate<Name extends GateName = GateName> {
  readonly name: Name;
  /**
   * Asks the gate. A failure to find out is an answer too, so it does not reject. It waits at most as long as one
   * Redis call.
   */
  ask(): Promise<GateAnswer<Name>> | GateAnswer<Name>;
}
