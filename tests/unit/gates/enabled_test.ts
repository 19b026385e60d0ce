import assert from "node:assert/strict";
import { createEnabledGate } from "../../../src/gates/enabled.ts";

Deno.test("createEnabledGate: is open when replay is switched on and that is known", async () => {
  const ask = async (isEnabled: boolean, isKnown: boolean) => {
    const { open, reason } = await createEnabledGate({ isEnabled: () => isEnabled, isKnown: () => isKnown }).ask();
    return [open, reason];
  };
  assert.deepEqual(await ask(true, true), [true, "enabled"]);
  assert.deepEqual(await ask(false, true), [false, "switched_off"]);
  assert.deepEqual(await ask(true, false), [false, "unknown"]);
});
