/** The settings of a source's turn. Pure. */
import type { Settings } from "../config/fields.ts";
import type { SourceDefinition } from "../gates/source_definition.ts";
import type { ReplaySettings } from "./source_replay.ts";

/** What of the settings a turn goes by. No secret is among them. */
type TurnSettings = Pick<
  Settings,
  | ("intervalMs" | "consumerLagMs" | "canaryAfterMs" | "batchSize" | "brakeEnabled" | "maxPoisonRetries")
  | ("chunkMessages" | "chunkBytes" | "maxMessageBytes")
>;

/** The settings of a source's turn: what its definition names wins over the variables. */
export function replaySettings(
  setup: Pick<SourceDefinition, "maxReplays" | "consumerLagMs">,
  settings: TurnSettings,
): ReplaySettings {
  const { canaryAfterMs, batchSize, brakeEnabled, chunkMessages, chunkBytes, maxMessageBytes } = settings;
  const consumerLagMs = settings.consumerLagMs ?? setup.consumerLagMs;
  return {
    ...{ canaryAfterMs, batchSize, brakeEnabled, chunkMessages, chunkBytes, maxMessageBytes, consumerLagMs },
    intervalMs: Math.max(settings.intervalMs, consumerLagMs),
    maxPoisonRetries: setup.maxReplays ?? settings.maxPoisonRetries,
  };
}
