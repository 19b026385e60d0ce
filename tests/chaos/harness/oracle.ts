/** The one oracle of the chaos runs: what went in is there exactly once, and where the model says. */
import { coreOf, judge, type ModelRules, stampsOf } from "../../../testkit/model.ts";

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
  readonly #came = new Map<string, { count: number; fate: string }>();
  #messages = 0;

  constructor(rules: Partial<ModelRules> = {}) {
    this.#rules = { ...FIRST_LOOK, ...rules };
  }

  /** Says that these went in. `fate`: where each must end; default: by the model's first look; `any`: not checked. */
  add(payloads: readonly Uint8Array[], fate?: "any"): void {
    for (const bytes of payloads) {
      const core = coreOf(bytes), known = this.#came.get(core);
      const wanted = fate ?? judge(bytes, this.#rules).deadBy ?? "target";
      this.#messages++;
      // Two that differ in stamps only cannot be told apart at the end.
      if (known) this.#came.set(core, { count: known.count + 1, fate: known.fate === wanted ? wanted : "any" });
      else this.#came.set(core, { count: 1, fate: wanted });
    }
  }

  /** Says that others have moved messages like these, so that they may end anywhere. */
  excuse(payloads: readonly Uint8Array[]): void {
    for (const bytes of payloads) {
      const known = this.#came.get(coreOf(bytes));
      if (known) known.fate = "any";
    }
  }

  /** Compares; the DLQ may still hold anything. @param miscounted see {@link Findings} */
  check({ dlq, target, dead, taken = [] }: Whereabouts, { miscounted = 0 } = {}): Findings {
    const examples: string[] = [];
    const say = (what: string, core: string) => {
      if (examples.length < MAX_EXAMPLES) examples.push(`${what}: ${core.slice(0, 200)}`);
    };
    const found = new Map<string, number>();
    let misjudged = 0;
    const look = (bytes: Uint8Array, where: "target" | "dead" | null) => {
      const core = coreOf(bytes), fate = this.#came.get(core)?.fate;
      found.set(core, (found.get(core) ?? 0) + 1);
      if (where === null || fate === undefined || fate === "any") return;
      const ended = where === "target" ? "target" : stampsOf(bytes).reason ?? "oversize";
      if (ended === fate) return;
      misjudged++;
      say(`ended as ${ended}, not ${fate}`, core);
    };
    for (const bytes of [...dlq, ...taken]) look(bytes, null);
    for (const bytes of target) look(bytes, "target");
    for (const bytes of dead) look(bytes, "dead");
    let lost = 0, doubled = 0;
    for (const core of new Set([...this.#came.keys(), ...found.keys()])) {
      const more = (found.get(core) ?? 0) - (this.#came.get(core)?.count ?? 0);
      if (more < 0) {
        lost -= more;
        say(`lost ${-more}`, core);
      } else if (more > 0) {
        doubled += more;
        say(`${more} too many`, core);
      }
    }
    if (miscounted > 0) examples.push(`counters are off by ${miscounted}`);
    return { messages: this.#messages, lost, doubled, misjudged, miscounted, broken: 0, examples };
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
