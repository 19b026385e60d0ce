import assert from "node:assert/strict";
import {
  GATE_NAMES,
  type GateTrait,
  hasTrait,
  isGateName,
  reasonsOf,
  yieldsToOverride,
} from "../../../src/gates/gate.ts";

Deno.test("GATE_NAMES: keeps the order in which gates are shown", () => {
  assert.deepEqual(GATE_NAMES, [
    ...[
      "enabled",
      "redis",
      "leader",
      "pause",
      "window",
      "job",
      "consumer",
      "downstream",
      "breaker",
      "depth",
      "returns",
      "pace",
    ],
  ]);
});

const HOLDERS: Readonly<Record<GateTrait, readonly string[]>> = {
  isOnEverySource: ["enabled", "redis", "leader", "pause", "window", "job", "depth", "returns", "pace"],
  limitsFlow: ["depth", "pace"],
  blocksStart: ["enabled", "redis", "leader", "pause", "window", "job", "consumer", "downstream", "breaker"],
  excusesFailures: ["consumer", "downstream", "breaker"],
  isFollowedByCanary: ["window", "consumer", "downstream", "breaker", "depth"],
  logsItself: ["leader", "downstream"],
  stopsDrainClock: ["enabled", "pause", "window", "job", "consumer", "downstream", "breaker"],
  holdsAutomaticOnly: ["pause", "job"],
  holdsEveryMove: ["enabled", "redis", "leader"],
  canBeOverridden: ["window", "consumer", "downstream", "breaker", "depth", "pace"],
  canBeDrilled: ["consumer", "downstream", "depth"],
};

for (const [trait, names] of Object.entries(HOLDERS) as [GateTrait, readonly string[]][]) {
  Deno.test(`hasTrait: says which gates have ${trait}`, () => {
    assert.deepEqual(GATE_NAMES.filter((name) => hasTrait(name, trait)), names);
  });
}

Deno.test("hasTrait: is false for a word that names no gate", () => {
  for (const word of ["empty", "batch_size", "", "constructor", "__proto__"]) {
    assert.deepEqual([isGateName(word), hasTrait(word, "blocksStart")], [false, false], word);
  }
});

Deno.test("yieldsToOverride: an override lets a job through a window, but not through a freeze", () => {
  const yields = ["inside", "outside", "frozen"].map((reason) =>
    yieldsToOverride({ name: "window", reason: reason as "frozen" })
  );
  assert.deepEqual(yields, [true, true, false]);
  assert.equal(yieldsToOverride({ name: "redis", reason: "oom" }), false);
});

Deno.test("reasonsOf: has no reason twice, and no word but snake_case", () => {
  for (const name of GATE_NAMES) {
    const reasons = reasonsOf(name);
    assert.equal(new Set(reasons).size, reasons.length, name);
    for (const reason of reasons) assert.match(reason, /^[a-z0-9]+(_[a-z0-9]+)*$/);
  }
});
