/** Gate `enabled`: whether replay is switched on. */
import type { Gate } from "./gate.ts";

/**
 * Creates the gate. It follows `REMEDIATION_ENABLED` or the dynamic key `remediation_enabled`. `isKnown` returns false until
 * the dynamic configuration was read: a key that switches replay off may exist.
 */
export function createEnabledGate(
  { isEnabled, isKnown }: { isEnabled: () => boolean; isKnown: () => boolean },
): Gate<"enabled"> {
  return {
    name: "enabled",
    ask() {
      if (!isKnown()) {
        const detail = "the dynamic configuration could not be read yet (DYNAMIC_CONFIG_ENABLED)";
        return { open: false, reason: "unknown", detail, retryInMs: 250 };
      }
      if (isEnabled()) return { open: true, reason: "enabled", detail: "replay is switched on" };
      const detail = "replay is switched off (REMEDIATION_ENABLED or the key remediation_enabled)";
      return { open: false, reason: "switched_off", detail };
    },
  };
}
