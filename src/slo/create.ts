/** Builds the parts of the service level objectives from the settings. */
import type { Settings } from "../config/fields.ts";
import { SourceIndicators, type SourceIndicatorsDeps } from "./indicators.ts";
import { SloMonitor, type SloMonitorDeps } from "./monitor.ts";
import type { SloName } from "./objectives.ts";

type Targets = Pick<Settings, "sloDrainTarget" | "sloOldestAgeTarget" | "sloRedriveTarget" | "sloDownstreamTarget">;
type Thresholds = Pick<Settings, "sloDrainMs" | "sloOldestAgeMs">;

/** Returns the target of each objective, as a share of good events. */
export function sloTargets(settings: Targets): Readonly<Record<SloName, number>> {
  return {
    time_to_drain: settings.sloDrainTarget,
    oldest_age: settings.sloOldestAgeTarget,
    redrive_success: settings.sloRedriveTarget,
    downstream_availability: settings.sloDownstreamTarget,
  };
}

/** Creates the indicators of one source. */
export function createIndicators(
  settings: Thresholds,
  deps: Omit<SourceIndicatorsDeps, "drainMs" | "oldestAgeMs">,
): SourceIndicators {
  return new SourceIndicators({
    ...deps,
    drainMs: settings.sloDrainMs,
    oldestAgeMs: settings.sloOldestAgeMs,
  });
}

/** Creates the monitor of all sources. It calls `windowMs` each time, because the window can change at run time. */
export function createSloMonitor(
  settings: Targets & Thresholds & Pick<Settings, "podName">,
  { windowMs, ...deps }: Pick<SloMonitorDeps, "clock" | "sources" | "windowMs">,
): SloMonitor {
  return new SloMonitor({
    ...deps,
    targets: sloTargets(settings),
    podName: settings.podName,
    thresholdMs: { time_to_drain: settings.sloDrainMs, oldest_age: settings.sloOldestAgeMs },
    windowMs,
  });
}
