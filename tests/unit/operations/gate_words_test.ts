import assert from "node:assert/strict";
import { GATE_NAMES, reasonsOf } from "../../../src/gates/gate.ts";
import { gateWords, WAITS_FOR } from "../../../src/operations/gate_words.ts";

Deno.test("gateWords: has words of its own for every reason of every gate", () => {
  for (const name of GATE_NAMES) {
    assert.match(WAITS_FOR[name], /^[A-Z]/);
    for (const reason of [...reasonsOf(name), "error" as const]) {
      const words = gateWords({ name, reason, detail: "paused by ann", failures: 2 });
      assert.match(words, /^[A-Za-z][A-Za-z_' ,0-9]+(; [a-z ]+)?$/, `${name} ${reason}: ${words}`);
      assert.doesNotMatch(words, /undefined|NaN/);
      assert.notEqual(words, reason);
    }
  }
});

Deno.test("gateWords: names the status and the number of probes", () => {
  const say = (reason: "unhealthy" | "timeout" | "refused", more: { status?: number; failures?: number }) =>
    gateWords({ name: "downstream", reason, detail: "", ...more });
  assert.equal(say("unhealthy", { status: 503, failures: 12 }), "it answered 503 to the last 12 probes");
  assert.equal(say("unhealthy", { status: 500, failures: 1 }), "it answered 500 to the last probe");
  assert.equal(say("timeout", { failures: 1_200 }), "the last 1,200 probes got no answer in time");
  assert.equal(say("refused", {}), "it refused the connection of the last probe");
});
