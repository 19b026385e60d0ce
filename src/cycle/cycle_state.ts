/** A source's cycle state in Redis: the current cycle, the brake and the pace. */
import { type Push, PUSHES } from "../message/source_policy.ts";
import { type Brake, BRAKE_REASONS, RELEASED } from "./brake.ts";
import { type CycleLimit, parseCycleLimit } from "./cycle_limit.ts";
import { type CycleTally, parseTallies } from "./evidence.ts";
import { type Freeze, parsePause, type Pause } from "./pause.ts";
import { DRILL_FIELDS, parseRunningDrill, type RunningDrill } from "./running_drill.ts";
import { JOB_FIELDS, JOB_PROGRESS_FIELDS, parseRunningJob, type RunningJob } from "./running_job.ts";
import { parseStanding, STANDING_FIELD, type StandingMark } from "./standing.ts";

/** The cycle state of a source. Missing or invalid fields read as on a new source. */
export interface CycleState {
  /** Every change raises it, and a decision based on an older one is refused as stale. Text, because it is only compared. */
  readonly sequence: string;
  /** Number of the current cycle; 0 before the first. */
  readonly cycle: number;
  /** Start of the cycle, by the server's clock; 0 before the first. */
  readonly startedAtMs: number;
  /** Length of the DLQ when the cycle began. */
  readonly depthAtStart: number;
  /** Budget left to the cycle, in messages; 0: the cycle is over. */
  readonly remaining: number;
  /** Messages that the cycle has moved to the target so far. */
  readonly replayed: number;
  /** Messages that the cycle has moved to the dead list so far. */
  readonly dead: number;
  /** Length in bytes and digest (see `isNewest`) of the message that was newest when the cycle began. */
  readonly newestBytes: number;
  readonly newestDigest: string;
  /** How the lists were pushed when the cycle began. By another direction it is over: what it would take was not what it counted. */
  readonly push: Push;
  /** Which limit set the cycle's budget; field `boundBy`. */
  readonly cycleLimit: CycleLimit;
  readonly brake: Brake;
  /** First-timers that the cycle has replayed, and the time of its last replay, by the server's clock. */
  readonly firsts: number;
  readonly movedAtMs: number;
  /** Tallies of the last cycles that replayed messages, oldest first, without the current cycle. */
  readonly tallies: readonly CycleTally[];
  /** Length of the DLQ when returns were last counted; `null`: never. */
  readonly scannedDepth: number | null;
  /** Observed time from a replay until a failed message is back in the DLQ, in milliseconds. */
  readonly lagMs: number;
  /** Whether the consumer drops the stamps. Then arrivals count as returns. */
  readonly stampsDropped: boolean;
  /** The last gate outages, newest last, as text (`addOutages`). */
  readonly outages: string;
  /** Time of the last canary for a breaker, by the server's clock; 0: never. */
  readonly breakerCanaryAtMs: number;
  /** Until this time, by the server's clock, a fixed rate is used up. */
  readonly spentUntilMs: number;
  /** The last pause, which may be over (`pauseLeftMs`); `null`: none, or resumed. */
  readonly pause: Pause | null;
  /** The last freeze, which may be over (`pauseLeftMs`); `null`: none, or it was ended. */
  readonly freeze: Freeze | null;
  /** The cycle that an operator wants to begin without waiting for the interval; 0: none. */
  readonly wantedCycle: number;
  /** When an operator last released the brake, by the server's clock; 0: never. */
  readonly releasedAtMs: number;
  /** The running or paused job; `null`: none. While there is one, automatic replay waits. */
  readonly job: RunningJob | null;
  /** The running drill; `null`: none. */
  readonly drill: RunningDrill | null;
  /** Which messages stood in the DLQ when a cycle began. Only of a source that records its stamps beside the messages. */
  readonly standing: readonly StandingMark[];
}

/** A source at one instant, by the server's clock. */
export interface Snapshot {
  readonly record: CycleState;
  /** Messages in the DLQ. */
  readonly depth: number;
  /** The server's clock. */
  readonly nowMs: number;
}

/** Every field of the cycle state that is read, of a source that stamps its messages inside. */
export const CYCLE_STATE_FIELDS = [
  ...["seq", "cycle", "startedAtMs", "depthAtStart", "remaining", "replayed", "dead", "newestBytes", "newestDigest"],
  ...["push", "boundBy", "suspect", "distance", "wait", "allowance", "brakeReason", "firsts", "movedAtMs", "tallies"],
  ...["scannedDepth", "lagMs", "stampsDropped", "outages", "breakerCanaryAtMs", "spentUntilMs"],
  ...["pausedUntilMs", "pausedBy", "pauseReason", "wantedCycle", "releasedAtMs"],
  ...["frozenUntilMs", "frozenBy", "freezeReason"],
  ...JOB_FIELDS,
  ...DRILL_FIELDS,
];
/**
 * The fields that a commit or an operator may write, and those that say which cycle it is and where it ends. The others change only
 * when a cycle begins, or when the brake is released or a job begins.
 */
export const COMMITTED_FIELDS = [
  ...[
    "cycle",
    "startedAtMs",
    "seq",
    "remaining",
    "replayed",
    "dead",
    "firsts",
    "movedAtMs",
    "breakerCanaryAtMs",
    "spentUntilMs",
  ],
  ...["depthAtStart", "newestBytes", "newestDigest"],
  // Without the texts of a pause or freeze: it raises the sequence number, so the whole state is read before they are shown.
  ...["pausedUntilMs", "frozenUntilMs", "wantedCycle"],
  ...JOB_PROGRESS_FIELDS,
  ...DRILL_FIELDS,
];
/** A field that is read in addition of a source that records its stamps beside the messages. A commit may write it. */
export const RECORD_FIELDS: readonly string[] = [STANDING_FIELD];
/** Maximum size of a field, in bytes. A longer one counts as missing. */
export const MAX_FIELD_BYTES = 16_384;

/** Parses a flat list of fields and values, as HGETALL returns it. Never throws. */
export function parseCycleState(flat: readonly unknown[]): CycleState {
  const fields = new Map<string, string>();
  for (let i = 0; i + 1 < flat.length; i += 2) fields.set(String(flat[i]), String(flat[i + 1]));
  const text = (name: string) => fields.get(name) ?? "";
  const isWhole = (name: string) => /^\d{1,15}$/.test(text(name));
  const whole = (name: string, fallback = 0) => isWhole(name) ? Number(text(name)) : fallback;
  const cycle = whole("cycle"), replayed = whole("replayed"), dead = whole("dead");
  return {
    // The same rule as `whole` in the scripts. A sequence number that no commit can match would stop the source for ever.
    sequence: isWhole("seq") ? text("seq") : "0",
    cycle,
    startedAtMs: whole("startedAtMs"),
    depthAtStart: whole("depthAtStart"),
    remaining: whole("remaining"),
    replayed,
    dead,
    newestBytes: whole("newestBytes", -1),
    newestDigest: text("newestDigest"),
    push: PUSHES.find((push) => push === text("push")) ?? "LPUSH",
    cycleLimit: parseCycleLimit(text("boundBy")),
    brake: {
      suspect: text("suspect") === "1",
      distance: Math.max(1, whole("distance", RELEASED.distance)),
      wait: whole("wait"),
      allowance: text("allowance") === "" ? null : Math.max(1, whole("allowance", 1)),
      reason: BRAKE_REASONS.find((reason) => reason === text("brakeReason")) ?? RELEASED.reason,
    },
    firsts: whole("firsts"),
    movedAtMs: whole("movedAtMs"),
    tallies: parseTalliesOnce(text("tallies"), cycle),
    scannedDepth: isWhole("scannedDepth") ? whole("scannedDepth") : null,
    lagMs: whole("lagMs"),
    stampsDropped: text("stampsDropped") === "1",
    outages: text("outages"),
    breakerCanaryAtMs: whole("breakerCanaryAtMs"),
    spentUntilMs: whole("spentUntilMs"),
    pause: parsePause({ untilMs: whole("pausedUntilMs"), by: text("pausedBy"), reason: text("pauseReason") }),
    freeze: parsePause({ untilMs: whole("frozenUntilMs"), by: text("frozenBy"), reason: text("freezeReason") }),
    wantedCycle: whole("wantedCycle"),
    releasedAtMs: whole("releasedAtMs"),
    job: parseRunningJob(text, whole),
    drill: parseRunningDrill(text),
    standing: parseStanding(text(STANDING_FIELD), { cycle, moved: replayed + dead }),
  };
}

/** Returns whether the cycle has replayed messages of a canary group or of a step of the ramp, whose outcome decides what follows. */
export function isUnderTest({ brake, replayed, cycleLimit }: CycleState): boolean {
  return brake.allowance !== null && replayed > 0 && cycleLimit !== "breaker";
}

/** Returns whether an operator wants the next cycle to begin at once. */
export function isCycleWanted({ cycle, wantedCycle }: Pick<CycleState, "cycle" | "wantedCycle">): boolean {
  return wantedCycle === cycle + 1;
}

/** The last parsed text. It is read with each chunk, but changes only with each cycle. */
let lastParsed: { text: string; newest: number; tallies: readonly CycleTally[] } | null = null;

function parseTalliesOnce(text: string, newest: number): readonly CycleTally[] {
  if (lastParsed?.text !== text || lastParsed.newest !== newest) {
    lastParsed = { text, newest, tallies: parseTallies(text, newest) };
  }
  return lastParsed.tallies;
}

/** Formats the brake as fields of the cycle state, for `begin`. */
export function brakeFields(brake: Brake): Record<string, string> {
  return {
    suspect: brake.suspect ? "1" : "0",
    distance: String(brake.distance),
    wait: String(brake.wait),
    allowance: brake.allowance === null ? "" : String(brake.allowance),
    brakeReason: brake.reason,
  };
}

/** The cycle state of a new source. */
export const NEW_CYCLE_STATE: CycleState = parseCycleState([]);
