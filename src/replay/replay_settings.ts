/** Computes the settings of a source's turns. Pure. */
import type { Settings } from "../config/fields.ts";
import type { SourceDefinition } from "../gates/source_definition.ts";
import type { ReplaySettings } from "./source_replay.ts";

/** The settings that a turn needs, without secrets. */
type TurnSettings = Pick<
  Settings,
  | ("intervalMs" | "consumerLagMs" | "canaryAfterMs" | "batchSize" | "brakeEnabled" | "maxPoisonRetries")
  | ("chunkMessages" | "chunkBytes" | "maxMessageBytes")
>;

/** Returns the settings of a source's turns. `maxReplays` of the source's definition overrides MAX_POISON_RETRIES. */
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
