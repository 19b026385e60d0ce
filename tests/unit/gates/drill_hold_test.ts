import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { parseCycleState } from "../../../src/cycle/cycle_state.ts";
import type { Gate, GateAnswer, GateName } from "../../../src/gates/gate.ts";
import { holdForDrill } from "../../../src/gates/drill_hold.ts";

const ID = "d_0123456789abcdef", OPEN: GateAnswer = { open: true, reason: "healthy", detail: "works" };
const CLOSED: GateAnswer = { open: false, reason: "unhealthy", detail: "503" };
const gate = (name: GateName, answer: GateAnswer): Gate => ({ name, ask: () => answer });
const at = (drill: string, nowMs: number) => () => ({ record: parseCycleState(["drill", drill]), nowMs });

Deno.test("holdForDrill: closes the gate until the instant, and says why", async () => {
  const held = holdForDrill(gate("downstream", OPEN), at(`${ID} mock downstream 61000`, 1_000));
  deepStrictEqual(await held.ask(), {
    ...{ open: false, reason: "drill", retryInMs: 60_000 },
    detail: `the drill ${ID} holds it until 00:01:01 UTC, to simulate an outage`,
  });
  const over = holdForDrill(gate("downstream", OPEN), at(`${ID} mock downstream 61000`, 61_000));
  strictEqual(await over.ask(), OPEN);
});

for (
  const [of, drill, name] of [
    ["no drill runs", "", "downstream"],
    ["it holds another gate", `${ID} mock depth 61000`, "downstream"],
    ["the instant is further than any drill takes", `${ID} mock downstream 99999999999`, "downstream"],
    ["no drill may hold the gate", `${ID} mock redis 61000`, "redis"],
  ] as const
) {
  Deno.test(`holdForDrill: does nothing when ${of}`, async () => {
    strictEqual(await holdForDrill(gate(name, OPEN), at(drill, 1_000)).ask(), OPEN);
  });
}

Deno.test("holdForDrill: a gate that is closed for its own reason says that", async () => {
  const held = holdForDrill(gate("downstream", CLOSED), at(`${ID} mock downstream 61000`, 1_000));
  strictEqual(await held.ask(), CLOSED);
  strictEqual(await holdForDrill(gate("downstream", OPEN), () => null).ask(), OPEN);
});
