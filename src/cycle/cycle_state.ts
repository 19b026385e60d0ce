/** A source's record in Redis: the cycle in hand, the brake and the pace. */
import { type Brake, BRAKE_REASONS, RELEASED } from "./brake.ts";
import { type CycleLimit, parseCycleLimit } from "./cycle_limit.ts";
import { type CycleTally, parseTallies } from "./evidence.ts";

/** What the record says. Fields that are missing or not understood read as on a source that was never worked on. */
export interface CycleState {
  /** Raised by every change; a decision that rests on an older one is refused as stale. Text: it is only compared. */
  readonly sequence: string;
  /** Number of the cycle in hand, 0 before the first. */
  readonly cycle: number;
  /** When the cycle began, by the server's clock; 0 before the first. */
  readonly startedAtMs: number;
  /** Length of the DLQ when the cycle began. */
  readonly depthAtStart: number;
  /** Messages that the cycle may still take; 0: it has ended. */
  readonly remaining: number;
  /** Messages that the cycle has put into the target so far. */
  readonly replayed: number;
  /** Messages that the cycle has put into the dead list so far. */
  readonly dead: number;
  /** Length and digest (see `isNewest`) of the message that was newest when the cycle began. */
  readonly newestBytes: number;
  readonly newestDigest: string;
  /** What set the bound of the cycle; field `boundBy`. */
  readonly cycleLimit: CycleLimit;
  readonly brake: Brake;
  /** Messages that the cycle has replayed for the first time, and when it last replayed any, by the server's clock. */
  readonly firsts: number;
  readonly movedAtMs: number;
  /** What became of the last cycles that replayed anything, oldest first; the one in hand is not among them. */
  readonly tallies: readonly CycleTally[];
  /** Length of the DLQ at the last look for returns; `null`: there was none. */
  readonly scannedDepth: number | null;
  /** How long the consumer was seen to take until what fails is back, in milliseconds. */
  readonly lagMs: number;
  /** Whether the consumer was seen to drop our stamp: then arrivals are taken for returns. */
  readonly stampsDropped: boolean;
  /** The last outages of gates that a cycle met, newest last, as text (`addOutages`). */
  readonly outages: string;
  /** When the last canary for a breaker went, by the server's clock; 0: never. */
  readonly breakerCanaryAtMs: number;
  /** Instant up to which a fixed rate is used up. */
  readonly spentUntilMs: number;
}

/** A source at one instant of the server. */
export interface Snapshot {
  readonly record: CycleState;
  /** Messages in the DLQ. */
  readonly depth: number;
  /** The server's clock. */
  readonly nowMs: number;
}

/** Every field of the record that is read, and most bytes of one: what is longer reads as missing. */
export const CYCLE_STATE_FIELDS = [
  ...["seq", "cycle", "startedAtMs", "depthAtStart", "remaining", "replayed", "dead", "newestBytes", "newestDigest"],
  ...["boundBy", "suspect", "distance", "wait", "allowance", "brakeReason", "firsts", "movedAtMs", "tallies"],
  ...["scannedDepth", "lagMs", "stampsDropped", "outages", "breakerCanaryAtMs", "spentUntilMs"],
];
/** Most bytes of a named field that is read; a longer one counts as absent. */
export const MAX_FIELD_BYTES = 16_384;

/** Reads a flat list of fields and values. Never throws. */
export function parseCycleState(flat: readonly unknown[]): CycleState {
  const fields = new Map<string, string>();
  for (let i = 0; i + 1 < flat.length; i += 2) fields.set(String(flat[i]), String(flat[i + 1]));
  const text = (name: string) => fields.get(name) ?? "";
  const isWhole = (name: string) => /^\d{1,15}$/.test(text(name));
  const whole = (name: string, fallback = 0) => isWhole(name) ? Number(text(name)) : fallback;
  const cycle = whole("cycle");
  return {
    // The scripts read it just so (`whole`): a sequence number that nobody can match would stop the source for ever.
    sequence: isWhole("seq") ? text("seq") : "0",
    cycle,
    startedAtMs: whole("startedAtMs"),
    depthAtStart: whole("depthAtStart"),
    remaining: whole("remaining"),
    replayed: whole("replayed"),
    dead: whole("dead"),
    newestBytes: whole("newestBytes", -1),
    newestDigest: text("newestDigest"),
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
  };
}

/** The last text that was parsed: it changes with each cycle, and is read with each chunk. */
let lastParsed: { text: string; newest: number; tallies: readonly CycleTally[] } | null = null;

function parseTalliesOnce(text: string, newest: number): readonly CycleTally[] {
  if (lastParsed?.text !== text || lastParsed.newest !== newest) {
    lastParsed = { text, newest, tallies: parseTallies(text, newest) };
  }
  return lastParsed.tallies;
}

/** The brake as fields of the record, for `begin`. */
export function brakeFields(brake: Brake): Record<string, string> {
  return {
    suspect: brake.suspect ? "1" : "0",
    distance: String(brake.distance),
    wait: String(brake.wait),
    allowance: brake.allowance === null ? "" : String(brake.allowance),
    brakeReason: brake.reason,
  };
}

/** The record of a source that was never worked on. */
export const NEW_CYCLE_STATE: CycleState = parseCycleState([]);
