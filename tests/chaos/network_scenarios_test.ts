/** The short form of the scenarios of network and Moogsoft. */
import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { SeededRandom } from "../../demo/random.ts";
import { isClean } from "./harness/oracle.ts";
import type { LeaseMode, Scenario } from "./harness/scenario.ts";
import { MOOGSOFT } from "./scenarios/moogsoft.ts";
import { MOOGSOFT_SERVICE } from "./scenarios/moogsoft_service.ts";
import { NETWORK } from "./scenarios/network.ts";

const SCENARIOS: readonly Scenario[] = [NETWORK, MOOGSOFT, MOOGSOFT_SERVICE];

for (const scenario of SCENARIOS) {
  Deno.test(`chaos: nothing is lost, doubled, misjudged or miscounted when ${scenario.name} ${scenario.about}`, async () => {
    const seed = Number(Deno.env.get("CHAOS_SEED") ?? Date.now() % 2 ** 32);
    const rounds = Number(Deno.env.get("CHAOS_ROUNDS") ?? scenario.rounds.short);
    const lease = (Deno.env.get("CHAOS_LEASE") ?? "on") as LeaseMode;
    const result = await scenario.run({
      ...{ random: new SeededRandom(seed), rounds, lease, tell: (line) => console.log(line) },
      signal: new AbortController().signal,
    });
    console.log(scenario.name, `seed ${seed}`, result);
    strictEqual(result.rounds, rounds);
    deepStrictEqual(isClean(result.findings) ? [] : result.findings, []);
  });
}
