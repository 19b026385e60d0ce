/** The settings of a source's turn. Pure. */
import type { Settings } from "../config/fields.ts";
import type { SourceSetup } from "../gates/source_definition.ts";
import type { ReplaySettings } from "./source_replay.ts";

/** What of the settings a turn goes by. No secret is among them. */
type TurnSettings = Pick<
  Settings,
  | ("intervalMs" | "settleMs" | "canaryAfterMs" | "batchSize" | "brakeEnabled" | "maxPoisonRetries")
  | ("chunkMessages" | "chunkBytes" | "maxMessageBytes")
>;

/** The settings of a source's turn: what its definition names wins over the variables. */
export function replaySettings(
  setup: Pick<SourceSetup, "maxReplays" | "settleMs">,
  settings: TurnSettings,
): ReplaySettings {
  const { canaryAfterMs, batchSize, brakeEnabled, chunkMessages, chunkBytes, maxMessageBytes } = settings;
  const settleMs = settings.settleMs ?? setup.settleMs;
  return {
    ...{ canaryAfterMs, batchSize, brakeEnabled, chunkMessages, chunkBytes, maxMessageBytes, settleMs },
    intervalMs: Math.max(settings.intervalMs, settleMs),
    maxPoisonRetries: setup.maxReplays ?? settings.maxPoisonRetries,
  };
}
