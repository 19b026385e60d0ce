/** What a gate is: a question that must be answered "open" before anything moves. */

/** Every gate, in the order in which they are shown. Closed: metric labels use exactly these. */
export const GATE_NAMES = [
  "enabled",
  "redis",
  "leader",
  "consumer",
  "downstream",
  "breaker",
  "depth",
  "returns",
  "pace",
] as const;
/** One of {@link GATE_NAMES}. */
export type GateName = (typeof GATE_NAMES)[number];

/** Gates that open and close by themselves while messages flow. */
export const FLOW_GATES: ReadonlySet<string> = new Set<GateName>(["depth", "pace"]);

/** A gate's answer. */
export interface GateAnswer {
  /** Whether messages may move as far as this gate is concerned. */
  readonly open: boolean;
  /** Short snake_case word out of the gate's own closed set, e.g. `healthy`, `probe_rejected`, `over_limit`. */
  readonly reason: string;
  /** One sentence for people: what was seen, and where useful which variable decides it. Never a secret. */
  readonly detail: string;
  /** Most messages that may move now; absent: this gate sets no bound. Never 0 while open. */
  readonly room?: number;
  /** In how many milliseconds asking again may give another answer; absent: no better time is known. */
  readonly retryInMs?: number;
}

/** One gate of one source. */
export interface Gate {
  readonly name: GateName;
  /** Asks; never throws (what cannot be found out is an answer too) and never waits longer than one Redis call. */
  ask(): Promise<GateAnswer> | GateAnswer;
}
