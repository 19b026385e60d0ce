/** The settings of a source's turn. Pure. */
import type { Settings } from "../config/fields.ts";
import type { SourceSetup } from "../gates/source_definition.ts";
import type { ReplaySettings } from "./source_replay.ts";

/** What of the settings a turn goes by. No secret is among them. */
type TurnSettings = Pick<
  Settings,
  | ("intervalSeconds" | "settleSeconds" | "canaryAfterSeconds" | "batchSize" | "brakeEnabled" | "maxPoisonRetries")
  | ("chunkMessages" | "chunkBytes" | "maxMessageBytes")
>;

/** The settings of a source's turn: what its definition names wins over the variables. */
export function replaySettings(
  setup: Pick<SourceSetup, "maxReplays" | "settleMs">,
  settings: TurnSettings,
): ReplaySettings {
  const { intervalSeconds, canaryAfterSeconds, settleSeconds } = settings;
  const { batchSize, brakeEnabled, chunkMessages, chunkBytes, maxMessageBytes } = settings;
  const settleMs = settleSeconds === null ? setup.settleMs : settleSeconds * 1_000;
  return {
    ...{ batchSize, brakeEnabled, chunkMessages, chunkBytes, maxMessageBytes, settleMs },
    intervalMs: Math.max(intervalSeconds * 1_000, settleMs),
    canaryAfterMs: canaryAfterSeconds * 1_000,
    maxPoisonRetries: setup.maxReplays ?? settings.maxPoisonRetries,
  };
}
