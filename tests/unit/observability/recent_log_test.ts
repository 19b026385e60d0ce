import assert from "node:assert/strict";
import { RecentLog } from "../../../src/observability/recent_log.ts";

function line(atMs: number, level: "INFO" | "WARNING" | "ERROR", event = "e") {
  return { atMs, level, event, message: `m${atMs}` };
}

Deno.test("RecentLog: keeps warnings whatever else is logged, and the newest of the rest", () => {
  const log = new RecentLog();
  log.add(line(1, "WARNING"));
  for (let at = 2; at <= 2_000; at++) log.add(line(at, "INFO"));
  const all = log.read({ level: "DEBUG", event: null, size: 1_000 });
  assert.deepEqual([all.length, all[0]!.atMs, all[1]!.atMs, all.at(-1)!.atMs], [501, 1, 1_501, 2_000]);
});

Deno.test("RecentLog: reads by level and event, the newest that fit, oldest first", () => {
  const log = new RecentLog();
  for (const one of [line(1, "INFO"), line(2, "ERROR", "x"), line(3, "WARNING"), line(4, "INFO", "x")]) log.add(one);
  const read = (level: "INFO" | "WARNING", event: string | null, size = 9) =>
    log.read({ level, event, size }).map(({ atMs }) => atMs);
  assert.deepEqual(read("INFO", null), [1, 2, 3, 4]);
  assert.deepEqual(read("WARNING", null), [2, 3]);
  assert.deepEqual(read("INFO", "x"), [2, 4]);
  assert.deepEqual(read("INFO", null, 2), [3, 4]);
  assert.deepEqual(new RecentLog().read({ level: "INFO", event: null, size: 9 }), []);
});
