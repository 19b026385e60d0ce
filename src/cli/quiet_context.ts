/** Context of the commands whose answer is what they find in Redis: `check` and `discover`. */
import { createCommandContext } from "../app/command_context.ts";
import type { Settings } from "../config/fields.ts";
import { NO_SOURCES_FILE } from "../config/sources.ts";
import type { CommandContext } from "../operations/context.ts";
import { SYSTEM_CLOCK } from "../runtime/clock.ts";
import { SYSTEM_RANDOM } from "../runtime/random.ts";
import type { CliContext } from "./context.ts";
import { openLog } from "./observers.ts";
import { settingsOrExit } from "./settings.ts";

/**
 * Loads the settings and creates the context. If any settings are invalid, prints all problems, sets the exit code and returns
 * `null`. `askHealth`: asks the service that runs with these settings for its health document; default: no service is asked.
 * `needsSources` (default: true): false takes no source for sources that are missing or wrong, and warns of what it could not read.
 */
export async function quietContextOrExit(
  context: CliContext,
  { askHealth, needsSources = true }: {
    askHealth?: (settings: Settings) => Promise<string | null>;
    needsSources?: boolean;
  } = {},
): Promise<CommandContext | null> {
  const loaded = await settingsOrExit(context, needsSources ? {} : { insteadOfWrong: NO_SOURCES_FILE });
  if (!loaded) return null;
  const { settings } = loaded;
  return createCommandContext({
    ...loaded,
    // A problem with Redis is the answer; without this the clients would log it too.
    log: openLog({ ...settings, logLevel: "CRITICAL" }),
    clock: SYSTEM_CLOCK,
    random: SYSTEM_RANDOM,
    signal: context.signal,
    ...(askHealth ? { askHealth: () => askHealth(settings) } : {}),
  });
}
