/** Settings of the commands. */
import { type Loaded, loadSettings } from "../config/load.ts";
import { EXIT } from "../runtime/exit.ts";
import { writeErr } from "../runtime/process.ts";
import type { CliContext } from "./context.ts";

/** Valid settings, and what was read with them. */
export type LoadedSettings = Extract<Loaded, { ok: true }>;

/** Loads the settings. If any are invalid, prints all problems, sets the exit code and returns `null`. */
export async function settingsOrExit(context: CliContext): Promise<LoadedSettings | null> {
  const loaded = await loadSettings();
  if (loaded.ok) return loaded;
  writeErr("The configuration is invalid; nothing was started:\n");
  for (const problem of loaded.problems) writeErr(`  ${problem}\n`);
  for (const warning of loaded.warnings) writeErr(`warning: ${warning}\n`);
  context.exitCode = EXIT.configuration;
  return null;
}
