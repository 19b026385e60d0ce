/** Creates the context that command operations run with. */
import { NO_SOURCES_FILE } from "../config/sources.ts";
import type { CommandContext } from "../operations/context.ts";
import { type AppOptions, createCore } from "./core.ts";

/** Dependencies and settings of a command. */
export interface CommandOptions
  extends
    Pick<AppOptions, "settings" | "readSecret" | "sourcesFile" | "log" | "clock" | "random" | "tracer" | "signal">,
    Partial<Pick<CommandContext, "warnings" | "dotEnvPath" | "askHealth">> {}

/**
 * Creates the context. Without `askHealth` no service is queried. The operation that creates a core also stops the
 * tracer.
 */
export function createCommandContext(options: CommandOptions): CommandContext {
  const { settings, readSecret, sourcesFile = NO_SOURCES_FILE, log, clock, signal } = options;
  const { random, tracer, warnings = [], dotEnvPath = "", askHealth = () => Promise.resolve(null) } = options;
  return {
    ...{ settings, sourcesFile, warnings, dotEnvPath, log, clock, signal, askHealth },
    createCore: (given, teardown) => {
      const core = createCore({
        ...{ sourcesFile, log, clock, random, signal, ...given },
        ...(readSecret ? { readSecret } : {}),
        ...(tracer ? { tracer } : {}),
      }, teardown);
      const { live, connections, journal, setups, createParts: createSource, watcher } = core;
      return { live, connections, journal, setups, createSource, readDynamicConfig: () => watcher.readOnce() };
    },
  };
}
