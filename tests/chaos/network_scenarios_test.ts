/** The short form of the scenarios of network and Moogsoft. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { NOTHING } from "./harness/oracle.ts";
import { leasesOf, runScenario } from "./harness/run.ts";
import type { Scenario } from "./harness/scenario.ts";
import { MOOGSOFT } from "./scenarios/moogsoft.ts";
import { MOOGSOFT_SERVICE } from "./scenarios/moogsoft_service.ts";
import { NETWORK } from "./scenarios/network.ts";

const SCENARIOS: readonly Scenario[] = [NETWORK, MOOGSOFT, MOOGSOFT_SERVICE];

for (const scenario of SCENARIOS) {
  Deno.test(`chaos: nothing is lost, doubled, misjudged or miscounted when ${scenario.name} ${scenario.about}`, async () => {
    const seed = crypto.getRandomValues(new Uint32Array(1))[0]!, rounds = scenario.rounds.short;
    const signal = new AbortController().signal, lease = leasesOf(scenario)[0]!;
    const { result, problem } = await runScenario(scenario, { lease, rounds, seed, signal, tell: console.log });
    strictEqual(problem, null, `seed ${seed}`);
    const { messages, ...findings } = result!.findings;
    deepStrictEqual({ messages, ...findings }, { ...NOTHING, messages }, `seed ${seed}`);
    strictEqual(result!.rounds, rounds);
  });
}
