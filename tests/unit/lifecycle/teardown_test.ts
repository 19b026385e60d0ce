import assert from "node:assert/strict";
import { Teardown } from "../../../src/lifecycle/teardown.ts";
import { SYSTEM_CLOCK } from "../../../src/runtime/clock.ts";
import { recordLog } from "../../../testkit/recorded_log.ts";

function setup() {
  const { log, lines } = recordLog();
  return { lines, teardown: new Teardown({ clock: SYSTEM_CLOCK, log }) };
}

Deno.test("Teardown: runs the last step first, once, and shares the outcome", async () => {
  const { teardown, lines } = setup();
  const ran: string[] = [];
  for (const name of ["a", "b", "c"]) teardown.add(name, () => void ran.push(name));
  await Promise.all([teardown.run(1_000), teardown.run(1_000)]);
  assert.deepEqual(ran, ["c", "b", "a"]);
  assert.deepEqual(lines, []);
});

Deno.test("Teardown: goes on, and says so, when a step fails or hangs", async () => {
  const { teardown, lines } = setup();
  const ran: string[] = [];
  teardown.add("first", () => void ran.push("first"));
  teardown.add("hanging", () => new Promise(() => {}));
  teardown.add("failing", () => Promise.reject(new Error("planted")));
  await teardown.run(20);
  assert.deepEqual(ran, ["first"]);
  assert.deepEqual(lines.map(({ event }) => event), ["stop_failed", "stop_late"]);
});
