/** What a chaos scenario is: faults against the service, round after round, judged by one oracle. */
import type { Push } from "../../../src/message/source_policy.ts";
import type { SeededRandom } from "../../../testkit/mutt/random.ts";
import type { Findings } from "./oracle.ts";

/**
 * How instances use the leader lease. `on`: as shipped. `off`: none. `wrong`: it says what is not so (every instance carries
 * the same token, or somebody overwrites it), so that all of them move messages while they believe that they lead.
 */
export type LeaseMode = "on" | "off" | "wrong";

/** What a scenario is given. */
export interface ScenarioContext {
  /** Everything random of the scenario comes from here; the seed is printed. */
  readonly random: SeededRandom;
  readonly rounds: number;
  readonly lease: LeaseMode;
  /** How the lists are pushed. */
  readonly push: Push;
  /** A word on how it goes on, for people. */
  readonly tell: (line: string) => void;
  /** Aborted: end soon, and leave nothing running. */
  readonly signal: AbortSignal;
}

/** What a scenario came to. */
export interface ScenarioResult {
  readonly rounds: number;
  /** Every check of the oracle, added up. */
  readonly findings: Findings;
  /** What else a reader should know, in order, e.g. kills, settled commits, slope of memory. */
  readonly figures: Readonly<Record<string, number | string>>;
}

/** One kind of fault. A scenario starts what it needs itself and leaves nothing running. */
export interface Scenario {
  /** Short and in kebab-case; `deno task chaos --only NAME`. */
  readonly name: string;
  /** One sentence: what is done to what. */
  readonly about: string;
  /** Rounds of the short form (a few seconds, inside `deno task test`) and of the full run. */
  readonly rounds: { readonly short: number; readonly full: number };
  /** Lease modes that make sense; default: all. */
  readonly leases?: readonly LeaseMode[];
  /** Whether it can also be played with lists that are pushed to the right; default: no. */
  readonly canBeTurned?: boolean;
  /** Rejects only where the scenario itself cannot go on; what the service did wrong is in the findings. */
  run(context: ScenarioContext): Promise<ScenarioResult>;
}
