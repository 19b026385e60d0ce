/** The short form of `deno task chaos`: every scenario under every lease mode, a few rounds each. */
import assert from "node:assert/strict";
import { isClean } from "./harness/oracle.ts";
import { leasesOf, runScenario } from "./harness/run.ts";
import { SCENARIOS } from "./scenarios/all.ts";

/** `deno task chaos --seed 1 --scale short --only NAME --lease MODE` makes the same choices. */
const SEED = 1;

// An instance that is killed may leave a short timer of the client behind (ioredis 6: 100 ms after a disconnect); the sanitizers see it.
Deno.test.afterEach(() => new Promise((resolve) => setTimeout(resolve, 150)));

for (const scenario of SCENARIOS) {
  const [first] = leasesOf(scenario), turned = scenario.canBeTurned ? [{ lease: first!, push: "RPUSH" }] as const : [];
  for (
    const { lease, push } of [...leasesOf(scenario).map((lease) => ({ lease, push: "LPUSH" }) as const), ...turned]
  ) {
    const how = `lease ${lease}${push === "LPUSH" ? "" : `, ${push}`}`;
    const title = `chaos: ${scenario.name}, ${how}: loses, doubles, misjudges, miscounts nothing (seed ${SEED})`;
    Deno.test(title, async () => {
      const said: string[] = [];
      const { signal } = new AbortController();
      const row = await runScenario(scenario, {
        ...{ lease, push, signal, seed: SEED, rounds: scenario.rounds.short },
        tell: (line) => said.push(line),
      });
      assert.ok(row.result && isClean(row.result.findings), [...said, Deno.inspect(row.result?.findings)].join("\n"));
    });
  }
}
