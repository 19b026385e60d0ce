/**
 * What a gate is: a question that must be answered "open" before anything moves. Whatever else a part of the service must know of a
 * gate is in one table here; to add a gate, add its row and a file that asks.
 */
import { REDIS_ERROR_CODES, type RedisErrorCode } from "../redis/errors.ts";
import { FETCH_FAILURES } from "../runtime/bounded_fetch.ts";

/** What other parts must know of a gate; an absent trait is false. */
interface GateTraits {
  /** It opens and closes by itself while messages flow: it limits chunks, and the turn goes on in a moment. */
  readonly limitsFlow?: true;
  /** Every source has it; the others only where there is something to ask. */
  readonly isOnEverySource?: true;
  /** While it is closed no cycle begins. */
  readonly blocksStart?: true;
  /** While it is closed the system that messages go to is down: what fails meanwhile is not to blame. */
  readonly excusesFailures?: true;
  /** After it was closed for long, a source begins with a canary group. */
  readonly isFollowedByCanary?: true;
  /** It logs its changes itself; the board logs those of the others. */
  readonly logsItself?: true;
  /** While it is closed a backlog cannot drain, whatever this service does, so objective `time_to_drain` does not count. */
  readonly stopsDrainClock?: true;
}

/** The name of a trait. */
export type GateTrait = keyof GateTraits;

/** A row of the table. */
interface GateRow extends GateTraits {
  /** Every reason that the gate gives, open or closed. `unknown`, closed: it is still finding out. */
  readonly reasons: readonly string[];
}

const REDIS_REASONS = REDIS_ERROR_CODES.map((code) => code.toLowerCase() as Lowercase<RedisErrorCode>);

/** Every gate, in the order in which they are shown. */
const GATES = {
  enabled: {
    reasons: ["enabled", "switched_off", "unknown"],
    isOnEverySource: true,
    blocksStart: true,
    stopsDrainClock: true,
  },
  redis: {
    reasons: ["connected", "connecting", ...REDIS_REASONS],
    isOnEverySource: true,
    blocksStart: true,
  },
  leader: {
    reasons: ["off", "leader", "standby", "unknown"],
    isOnEverySource: true,
    blocksStart: true,
    logsItself: true,
  },
  consumer: {
    reasons: ["off", "alive", "gone", "unknown", "never_seen", "health_url_failed"],
    blocksStart: true,
    excusesFailures: true,
    isFollowedByCanary: true,
    stopsDrainClock: true,
  },
  downstream: {
    reasons: [
      ...["disabled", "no_url", "unknown", "healthy", "probe_rejected", "probe_202", "unhealthy", "tls"] as const,
      ...FETCH_FAILURES,
    ],
    blocksStart: true,
    excusesFailures: true,
    isFollowedByCanary: true,
    // In the words that MUTT's runbooks look for.
    logsItself: true,
    stopsDrainClock: true,
  },
  breaker: {
    reasons: ["disabled", "unknown", "closed", "absent", "abandoned", "open", "canary", "canary_sent"],
    blocksStart: true,
    excusesFailures: true,
    isFollowedByCanary: true,
    stopsDrainClock: true,
  },
  depth: {
    reasons: ["no_limit", "unknown", "room", "over_limit"],
    isOnEverySource: true,
    limitsFlow: true,
    // A full queue lets nothing fail, so it excuses nothing.
    isFollowedByCanary: true,
  },
  returns: {
    reasons: ["unknown", "healthy", "canary", "ramping", "common_failure"],
    isOnEverySource: true,
  },
  pace: {
    reasons: ["no_limit", "unknown", "room", "no_room"],
    isOnEverySource: true,
    limitsFlow: true,
  },
} as const satisfies Readonly<Record<string, GateRow>>;

/** The name of a gate. */
export type GateName = keyof typeof GATES;

/** Every gate, in the order in which they are shown. Closed: metric labels use exactly these. */
export const GATE_NAMES = Object.keys(GATES) as readonly GateName[];

/** Why a gate is open or closed, in a short snake_case word. `error`, of any gate: it could not be asked. */
export type GateReason<Name extends GateName = GateName> = (typeof GATES)[Name]["reasons"][number] | "error";

/** The reasons that a gate gives. */
export function reasonsOf<Name extends GateName>(name: Name): readonly GateReason<Name>[] {
  return GATES[name].reasons;
}

/** Whether a word names a gate. */
export function isGateName(word: string): word is GateName {
  return Object.hasOwn(GATES, word);
}

/** Whether a gate has a trait; false for a word that names no gate. */
export function hasTrait(word: string, trait: GateTrait): boolean {
  const row: GateRow | null = isGateName(word) ? GATES[word] : null;
  return row?.[trait] ?? false;
}

/** A gate's answer. */
export interface GateAnswer<Name extends GateName = GateName> {
  /** Whether messages may move as far as this gate is concerned. */
  readonly open: boolean;
  readonly reason: GateReason<Name>;
  /** One sentence for people: what was seen, and where useful which variable decides it. Never a secret. */
  readonly detail: string;
  /** Most messages that may move now; absent: this gate sets no bound. Never 0 while open. */
  readonly room?: number;
  /** In how many milliseconds asking again may give another answer; absent: no better time is known. */
  readonly retryInMs?: number;
  /** The gate is open for a single message, which goes in a cycle of its own and whose return does not count. */
  readonly canary?: true;
}

/** One gate of one source. */
export interface Gate<Name extends GateName = GateName> {
  readonly name: Name;
  /** Asks; never throws (what cannot be found out is an answer too) and never waits longer than one Redis call. */
  ask(): Promise<GateAnswer<Name>> | GateAnswer<Name>;
}
