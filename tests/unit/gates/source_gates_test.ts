import assert from "node:assert/strict";
import { type Gate, GATE_NAMES } from "../../../src/gates/gate.ts";
import { declareSource } from "../../../src/gates/source_definition.ts";
import { createSourceBoard } from "../../../src/gates/source_gates.ts";
import { recordLog } from "../../../testkit/recorded_log.ts";
import { TestClock } from "../../../testkit/test_clock.ts";

Deno.test("createSourceBoard: asks the gates that the source has, in the table's order, and shows them as metrics", async () => {
  const setup = declareSource("own", { dlq: "a", target: "b", dead: "c" });
  const gates: Gate[] = GATE_NAMES.toReversed().map((name) => ({
    name,
    ask: () => ({ open: name !== "depth", reason: "error" as const, detail: "d" }),
  }));
  const clock = new TestClock(), shown: unknown[] = [];
  let closed: () => readonly (readonly [string, number])[] = () => [];
  const board = createSourceBoard(setup, gates, {
    ...{ clock, log: recordLog().log },
    metrics: {
      gateOpen: { set: (labels: unknown, value: number) => void shown.push([labels, value]) } as never,
      showGates: (_source, ask) => void (closed = ask),
    },
  });
  const { statuses } = await board.ask();
  assert.deepEqual(statuses.map(({ name }) => name), [
    "enabled",
    "redis",
    "leader",
    "pause",
    "window",
    "job",
    "depth",
    "returns",
    "pace",
  ]);
  assert.equal(shown.length, statuses.length);
  await clock.advance(3_000);
  assert.deepEqual(Object.fromEntries(closed()), {
    ...{ enabled: 0, redis: 0, leader: 0, pause: 0, window: 0, job: 0, depth: 3, returns: 0 },
    pace: 0,
  });
});
