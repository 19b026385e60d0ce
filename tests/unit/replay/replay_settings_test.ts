import assert from "node:assert/strict";
import { DEFAULT_SETTINGS } from "../../../src/config/fields.ts";
import { replaySettings } from "../../../src/replay/replay_settings.ts";

Deno.test("replaySettings: hands the engine what it uses and nothing else, no secret least of all", () => {
  const settings = { ...DEFAULT_SETTINGS, intervalMs: 60_000, consumerLagMs: null };
  assert.deepEqual(Object.keys(replaySettings({ maxReplays: null, consumerLagMs: 0 }, settings)).sort(), [
    ...["batchSize", "brakeEnabled", "canaryAfterMs", "chunkBytes", "chunkMessages", "consumerLagMs"],
    ...["intervalMs", "maxMessageBytes", "maxPoisonRetries"],
  ]);
});

Deno.test("replaySettings: lets the source's own values win, and no cycle be shorter than its consumer's time", () => {
  const settings = { ...DEFAULT_SETTINGS, intervalMs: 60_000, consumerLagMs: null, maxPoisonRetries: 3 };
  const own = replaySettings({ maxReplays: 7, consumerLagMs: 70_000 }, settings);
  assert.deepEqual([own.maxPoisonRetries, own.intervalMs, own.consumerLagMs], [7, 70_000, 70_000]);
  const set = replaySettings({ maxReplays: null, consumerLagMs: 70_000 }, { ...settings, consumerLagMs: 5_000 });
  assert.deepEqual([set.maxPoisonRetries, set.intervalMs, set.consumerLagMs], [3, 60_000, 5_000]);
});
