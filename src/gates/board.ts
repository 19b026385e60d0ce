/** Asks all gates of one source together: the one place that answers "why is nothing moving?". */
import type { Log } from "../observability/log.ts";
import type { Clock } from "../runtime/clock.ts";
import { lengthMs, type Outage } from "../cycle/outages.ts";
import { type Gate, type GateAnswer, type GateName, type GateReason, hasTrait, yieldsToOverride } from "./gate.ts";

/**
 * A gate that limits flow or gives the reason `unknown` is logged only after it was closed for this long, in milliseconds. An
 * opening that is shorter counts as brief.
 */
const QUIET_MS = 5_000;
/** The reason of a gate that does not have its answer yet. */
const UNKNOWN: GateReason = "unknown";
/** The reason of a gate that a drill holds. */
const DRILL: GateReason = "drill";

/** A gate's last answer, and the instant it opened or closed (milliseconds since the epoch). */
export interface GateStatus extends GateAnswer {
  readonly name: GateName;
  readonly sinceMs: number;
  /** When the answer may change, in milliseconds since the epoch; absent: not known. */
  readonly nextMs?: number;
}

/** The combined answer of all gates. */
export interface BoardReading {
  readonly statuses: readonly GateStatus[];
  /** The closed gates, in the order of the board. */
  readonly closed: readonly GateStatus[];
  /** Most messages that may move now; `Infinity` if no gate sets a bound. */
  readonly room: number;
  /** The gate that set the room; `null` if none did. */
  readonly roomBy: GateName | null;
  /** The gate that lets one canary message through, in its own cycle; `null` if none does. */
  readonly canary: GateStatus | null;
}

interface Known {
  answer: GateAnswer;
  /** When it opened or closed. */
  sinceMs: number;
  askedMs: number;
  everOpen: boolean;
}

/** The log lines about a gate since it last stayed open for {@link QUIET_MS}. */
interface Told {
  /** Reasons already logged; each is logged once. */
  readonly reasons: Set<string>;
  reason: string;
  sinceMs: number;
  isOpen: boolean;
  /** Number of brief openings. After the second closing for one reason, only an opening that lasts is logged. */
  moments: number;
  isRestless: boolean;
}

/** The gates as a turn asks them. */
export type TurnGates = Pick<GateBoard, "ask" | "last" | "outagesSince">;

/**
 * Returns the board without the gates that hold automatic replay only, for a job that an operator has confirmed, and without those
 * that are overridden for it.
 */
export function gatesOfJobs(board: TurnGates, isOverridden: (name: GateName) => boolean = () => false): TurnGates {
  const without = ({ statuses }: BoardReading): BoardReading =>
    readingOf(
      statuses.filter((gate) =>
        !hasTrait(gate.name, "holdsAutomaticOnly") && !(isOverridden(gate.name) && yieldsToOverride(gate))
      ),
    );
  return {
    ask: async () => without(await board.ask()),
    last: () => without(board.last()),
    outagesSince: (sinceMs) => board.outagesSince(sinceMs),
  };
}

/** Asks every gate, records when each opened or closed, and logs changes. A closed gate does not hide the others. */
export class GateBoard {
  readonly #gates: readonly Gate[];
  readonly #known = new Map<GateName, Known>();
  readonly #told = new Map<GateName, Told>();
  /** The last outage of each gate that has outages. */
  readonly #outages = new Map<GateName, Outage>();
  readonly #deps: {
    readonly clock: Clock;
    readonly log: Log;
    readonly source: string;
    readonly onAnswer: (gate: GateName, open: boolean) => void;
  };

  constructor(
    gates: readonly Gate[],
    deps: { clock: Clock; log: Log; source: string; onAnswer: (gate: GateName, open: boolean) => void },
  ) {
    this.#gates = gates;
    this.#deps = deps;
  }

  /** Asks all gates at once. Never rejects: a gate that fails is closed with the reason `error`. */
  async ask(): Promise<BoardReading> {
    await Promise.all(this.#gates.map(async (gate) => this.#note(gate.name, await answerOf(gate))));
    return this.last();
  }

  /** Returns the last answers without asking again. */
  last(): BoardReading {
    const statuses = this.#gates.flatMap(({ name }) => {
      const known = this.#known.get(name);
      return known ? [statusOf(name, known)] : [];
    });
    return readingOf(statuses);
  }

  /** Returns each gate's last outage if it ended after `sinceMs` (milliseconds since the epoch), longest first. */
  outagesSince(sinceMs: number): readonly Outage[] {
    const outages = [...this.#outages.values()].filter(({ untilMs }) => untilMs > sinceMs);
    return outages.sort((a, b) => lengthMs(b) - lengthMs(a));
  }

  #note(name: GateName, answer: GateAnswer): void {
    const nowMs = this.#deps.clock.nowMs();
    const before = this.#known.get(name);
    const flipped = before?.answer.open !== answer.open;
    const known: Known = {
      answer,
      sinceMs: flipped || !before ? nowMs : before.sinceMs,
      askedMs: nowMs,
      everOpen: answer.open || (before?.everOpen ?? false),
    };
    this.#known.set(name, known);
    this.#noteOutage(name, known, before);
    this.#deps.onAnswer(name, answer.open);
    if (hasTrait(name, "logsItself")) return;
    if (answer.open) return this.#tellOpen(name, known, nowMs);
    if (flipped && before) this.#noteClosing(name, nowMs - before.sinceMs);
    this.#tellClosed(name, known, nowMs);
  }

  #noteClosing(name: GateName, wasOpenMs: number): void {
    const told = this.#told.get(name);
    if (!told) return;
    if (wasOpenMs >= QUIET_MS) this.#told.delete(name);
    else told.moments++;
  }

  /** `unknown` is no outage, and a drill's is none: it excuses no failure, and calls for no canary group. A gate that is closed from the start is one: the process started during it. */
  #noteOutage(name: GateName, { answer, sinceMs, askedMs }: Known, before: Known | undefined): void {
    if (!hasTrait(name, "isFollowedByCanary")) return;
    const outage = this.#outages.get(name);
    if (answer.reason === DRILL) {
      if (outage && !outage.isOver) this.#outages.set(name, { ...outage, untilMs: askedMs, isOver: true });
    } else if (!answer.open && answer.reason !== UNKNOWN) {
      this.#outages.set(name, {
        ...{ gate: name, reason: answer.reason, fromMs: sinceMs, untilMs: askedMs, isOver: false },
        excusesFailures: hasTrait(name, "excusesFailures"),
      });
    } else if (answer.open && outage && !outage.isOver && outage.fromMs === before?.sinceMs && !before.answer.open) {
      this.#outages.set(name, { ...outage, untilMs: askedMs, isOver: true });
    }
  }

  #tellClosed(name: GateName, { answer, sinceMs, everOpen }: Known, nowMs: number): void {
    const { reason, detail } = answer, told = this.#told.get(name);
    const isPassing = hasTrait(name, "limitsFlow") || reason === UNKNOWN;
    const isNews = !told || (told.isOpen && !told.isRestless) || !(reason === UNKNOWN || told.reasons.has(reason));
    if (!isNews || (isPassing && nowMs - sinceMs < QUIET_MS)) return;
    const isRestless = told?.reasons.has(reason) ?? false;
    const reasons = (told?.reasons ?? new Set()).add(reason);
    const { moments = 0 } = told ?? {};
    this.#told.set(name, { reasons, reason, sinceMs: told?.sinceMs ?? sinceMs, isOpen: false, moments, isRestless });
    const never = everOpen ? "" : "; it has not been open since the start of this process";
    const again = isRestless ? "; it opens only briefly, and repeats are not logged" : "";
    this.#deps.log.warning("gate_closed", `Remediation: gate ${name} is closed: ${detail}${never}${again}`, {
      source: this.#deps.source,
      gate: name,
      reason,
    });
  }

  #tellOpen(name: GateName, { sinceMs }: Known, nowMs: number): void {
    const told = this.#told.get(name);
    if (!told || told.isOpen || (told.isRestless && nowMs - sinceMs < QUIET_MS)) return;
    told.isOpen = true;
    const closedSeconds = Math.round((sinceMs - told.sinceMs) / 1_000);
    const between = told.isRestless ? `, with ${told.moments} brief openings` : "";
    this.#deps.log.info("gate_open", `Remediation: gate ${name} is open after ${closedSeconds} s${between}`, {
      source: this.#deps.source,
      gate: name,
      reason: told.reason,
      closed_seconds: closedSeconds,
    });
  }
}

function readingOf(statuses: readonly GateStatus[]): BoardReading {
  const narrowest = statuses.filter(({ room }) => room !== undefined).sort((a, b) => a.room! - b.room!)[0];
  return {
    statuses,
    closed: statuses.filter(({ open }) => !open),
    room: narrowest?.room ?? Infinity,
    roomBy: narrowest?.name ?? null,
    canary: statuses.find(({ canary }) => canary) ?? null,
  };
}

async function answerOf(gate: Gate): Promise<GateAnswer> {
  try {
    return await gate.ask();
  } catch (error) {
    return {
      open: false,
      reason: "error",
      detail: `the check failed (${error instanceof Error ? error.name : error})`,
    };
  }
}

function statusOf(name: GateName, { answer, sinceMs, askedMs }: Known): GateStatus {
  return {
    ...answer,
    name,
    sinceMs,
    ...(answer.retryInMs === undefined ? {} : { nextMs: askedMs + answer.retryInMs }),
  };
}
