import assert from "node:assert/strict";
import { gatesOf, stationsOf } from "../../../src/console/parts.tsx";
import type { Explained } from "../../../src/console/readings.ts";

function explained(gates: readonly (readonly [name: string, open: boolean, reason: string])[]): Explained {
  const rest = { words: "", detail: "", since: "2026-11-30T00:00:00.000Z", next: null };
  return { gates: gates.map(([name, open, reason]) => ({ name, open, reason, ...rest })) } as unknown as Explained;
}

Deno.test("gatesOf: that another instance leads does not hold the source", () => {
  const open = (reason: string) => gatesOf(explained([["leader", false, reason]]))[0]!.open;
  assert.deepEqual([open("standby"), open("unknown")], [true, false]);
});

Deno.test("stationsOf: folds the quiet gates into one station while all of them are open", () => {
  const names = (pauseIsOpen: boolean, folds = true) =>
    stationsOf(
      explained([
        ...[["enabled", true, ""], ["redis", true, ""], ["pause", pauseIsOpen, ""]] as const,
        ...[["window", true, ""], ["job", true, ""]] as const,
        ["downstream", true, "healthy"],
      ]),
      { folds },
    ).map(({ name }) => name);
  assert.deepEqual(names(true), ["ready", "downstream"]);
  assert.deepEqual(names(false), ["enabled", "redis", "window", "job", "pause", "downstream"]);
  assert.deepEqual(names(true, false), ["enabled", "redis", "pause", "window", "job", "downstream"]);
});
