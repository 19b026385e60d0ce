/** What a chaos run asks of the oracle: what went in is there exactly once, and where the model says. */
import { coreOf, judge, type ModelRules, stampsOf } from "../../../testkit/model.ts";
import { type Entered, findDifferences, type Found } from "../../../testkit/oracle.ts";

/** What a check found. All but `messages` must be 0. */
export interface Findings {
  /** Messages that went in. */
  readonly messages: number;
  /** Of these, how many are nowhere. */
  readonly lost: number;
  /** Copies too many, and what never went in. */
  readonly doubled: number;
  /** Messages in another list than the model says, or dead for another reason. */
  readonly misjudged: number;
  /** By how much counters differ from what happened, beyond the bound that the scenario states. */
  readonly miscounted: number;
  /** Other promises of the scenario that were not kept: memory that grew, a connection left, a bad exit. */
  readonly broken: number;
  /** A few of what is wrong, in words. */
  readonly examples: readonly string[];
}

/** Where messages are at the end, in any order. */
export interface Whereabouts {
  readonly dlq: readonly Uint8Array[];
  /** In the target, or taken from it by a consumer that accepted it. */
  readonly target: readonly Uint8Array[];
  readonly dead: readonly Uint8Array[];
  /** What foreign actors took out of the lists for good. */
  readonly taken?: readonly Uint8Array[];
  /** On the shelf, in the lists of jobs and in their trash. What is not dead must be there as it came in, byte for byte. */
  readonly kept?: readonly Uint8Array[];
}

/** Rules under which the model judges a first look of the source `alerter`, by the shipped defaults. */
export const FIRST_LOOK: ModelRules = {
  ...{ source: "alerter", counter: "_moog_retry_count", cut: ["_retry_count", "shedding_reason"] },
  ...{ required: ["hostname", "timestamp", "message"], maxPoisonRetries: 3, maxMessageBytes: 4 * 1024 * 1024 },
  ...{ cycle: 1, since: 0, bitsOf: () => 0 },
};

/** Findings of nothing. */
export const NOTHING: Findings = {
  ...{ messages: 0, lost: 0, doubled: 0, misjudged: 0, miscounted: 0, broken: 0 },
  examples: [],
};

const MAX_EXAMPLES = 5;

/** Remembers what went in, and compares. */
export class Oracle {
  readonly #rules: ModelRules;
  readonly #others: readonly string[];
  readonly #isExact: boolean;
  readonly #entered: Entered[] = [];
  /** Every message that went in, in hexadecimal. */
  readonly #exact = new Set<string>();
  /** Keys of what may end anywhere. */
  readonly #excused = new Set<string>();

  /**
   * `others`: members that may be cut beside the stamps, as a revival does; default: none. `isExact`: whether every message that is not dead
   * must be as it came in, byte for byte; default: only what is kept.
   */
  constructor(
    rules: Partial<ModelRules> = {},
    { others = [], isExact = false }: { others?: readonly string[]; isExact?: boolean } = {},
  ) {
    this.#rules = { ...FIRST_LOOK, ...rules };
    this.#others = others;
    this.#isExact = isExact;
  }

  /** Says that these went in. `fate`: where each must end; default: by the model's first look; `any`: not checked. */
  add(payloads: readonly Uint8Array[], fate?: "any"): void {
    for (const bytes of payloads) {
      const ends = fate === "any" ? undefined : [judge(bytes, this.#rules).deadBy ?? "target"];
      this.#entered.push({ key: this.#keyOf(bytes), ends });
      this.#exact.add(bytes.toHex());
    }
  }

  /** Says that others have moved messages like these, so that they may end anywhere. */
  excuse(payloads: readonly Uint8Array[]): void {
    for (const bytes of payloads) this.#excused.add(this.#keyOf(bytes));
  }

  /** Compares; the DLQ may still hold anything. @param miscounted see {@link Findings} */
  check({ dlq, target, dead, taken = [], kept = [] }: Whereabouts, { miscounted = 0 } = {}): Findings {
    const entered = this.#entered.map(({ key, ends }) => ({ key, ends: this.#excused.has(key) ? undefined : ends }));
    const { lost, doubled, strangers, misplaced } = findDifferences(entered, [
      ...[...dlq, ...taken, ...kept].map((bytes): Found => (
        { key: this.#keyOf(bytes), place: "on its way", isOnItsWay: true }
      )),
      ...target.map((bytes): Found => ({ key: this.#keyOf(bytes), place: "target" })),
      ...dead.map((bytes): Found => ({ key: this.#keyOf(bytes), place: stampsOf(bytes).reason ?? "oversize" })),
    ]);
    const exact = this.#isExact ? [...dlq, ...taken, ...target, ...kept] : kept;
    const changed = exact.filter((bytes) => !this.#isAsItCame(bytes));
    const examples = [
      ...lost.map(({ key }) => `lost: ${key.slice(0, 200)}`),
      ...doubled.map(({ key }) => `once too often: ${key.slice(0, 200)}`),
      ...strangers.map(({ key }) => `never put in: ${key.slice(0, 200)}`),
      ...misplaced.map(({ entered, found }) =>
        `ended as ${found.place}, not ${entered.ends}: ${found.key.slice(0, 200)}`
      ),
      ...changed.map((bytes) => `kept, but changed: ${new TextDecoder().decode(bytes).slice(0, 200)}`),
    ].slice(0, MAX_EXAMPLES);
    if (miscounted > 0) examples.push(`counters are off by ${miscounted}`);
    return {
      ...{ messages: entered.length, lost: lost.length + changed.length, doubled: doubled.length + strangers.length },
      ...{ misjudged: misplaced.length, miscounted, broken: 0, examples },
    };
  }

  #keyOf(bytes: Uint8Array): string {
    return coreOf(bytes, this.#others);
  }

  /** A dead message is stamped, and what was excused may have been buried and have come back without counts. */
  #isAsItCame(bytes: Uint8Array): boolean {
    return this.#exact.has(bytes.toHex()) || stampsOf(bytes).reason !== null || this.#excused.has(this.#keyOf(bytes));
  }
}

/** Findings of promises that were not kept, in words. */
export function brokenPromises(examples: readonly string[]): Findings {
  return { ...NOTHING, broken: examples.length, examples };
}

/** Adds findings of several rounds. */
export function addFindings(a: Findings, b: Findings): Findings {
  return {
    messages: a.messages + b.messages,
    lost: a.lost + b.lost,
    doubled: a.doubled + b.doubled,
    misjudged: a.misjudged + b.misjudged,
    miscounted: a.miscounted + b.miscounted,
    broken: a.broken + b.broken,
    examples: [...a.examples, ...b.examples].slice(0, MAX_EXAMPLES),
  };
}

/** Whether everything is as it must be. */
export function isClean({ lost, doubled, misjudged, miscounted, broken }: Findings): boolean {
  return lost + doubled + misjudged + miscounted + broken === 0;
}
