import assert from "node:assert/strict";
import { DEFAULT_SETTINGS } from "../../../src/config/fields.ts";
import { replaySettings } from "../../../src/replay/replay_settings.ts";

Deno.test("replaySettings: hands the engine what it uses and nothing else, no secret least of all", () => {
  const settings = { ...DEFAULT_SETTINGS, intervalMs: 60_000, settleMs: null };
  assert.deepEqual(Object.keys(replaySettings({ maxReplays: null, settleMs: 0 }, settings)).sort(), [
    ...["batchSize", "brakeEnabled", "canaryAfterMs", "chunkBytes", "chunkMessages", "intervalMs"],
    ...["maxMessageBytes", "maxPoisonRetries", "settleMs"],
  ]);
});

Deno.test("replaySettings: lets the source's own values win, and no cycle be shorter than its consumer's time", () => {
  const settings = { ...DEFAULT_SETTINGS, intervalMs: 60_000, settleMs: null, maxPoisonRetries: 3 };
  const own = replaySettings({ maxReplays: 7, settleMs: 70_000 }, settings);
  assert.deepEqual([own.maxPoisonRetries, own.intervalMs, own.settleMs], [7, 70_000, 70_000]);
  const set = replaySettings({ maxReplays: null, settleMs: 70_000 }, { ...settings, settleMs: 5_000 });
  assert.deepEqual([set.maxPoisonRetries, set.intervalMs, set.settleMs], [3, 60_000, 5_000]);
});
