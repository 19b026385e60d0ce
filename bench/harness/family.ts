/** What a benchmark family is: measures, and gives tables. */

/** `short`: seconds in all, to see that it works; its figures mean nothing. */
export type Scale = "short" | "full";

/** What a family runs with. */
export interface Bench {
  readonly scale: Scale;
  /** How often each contender is measured; they alternate. */
  readonly rounds: number;
  /** Aborted: nothing new is begun. */
  readonly signal: AbortSignal;
  tell(line: string): void;
}

/** Some benchmarks that share what they need. */
export interface Family {
  /** For `--only`. */
  readonly name: string;
  /** One line. */
  readonly about: string;
  run(bench: Bench): Promise<readonly Table[]>;
}

/** Numbers by heading, in the order of the columns; `null`: not to be had here. */
export type Figures = Readonly<Record<string, number | null>>;

/** What one comparison came to. */
export interface Table {
  readonly title: string;
  readonly rows: readonly Row[];
  /** What was left out and why, and how to read it. */
  readonly notes?: readonly string[];
  readonly targets?: readonly Target[];
}

/** One contender's figures. */
export interface Row {
  readonly name: string;
  readonly figures: Figures;
}

/** A bound that was set beforehand. */
export interface Target {
  readonly what: string;
  readonly bound: "at least" | "at most";
  readonly limit: number;
  readonly unit: string;
  /** `null`: could not be measured here. */
  readonly value: number | null;
}

/** Whether a target is met; `null`: not measured. */
export function isMet({ bound, limit, value }: Target): boolean | null {
  if (value === null) return null;
  return bound === "at least" ? value >= limit : value <= limit;
}
