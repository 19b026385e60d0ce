/** Settings of the commands. */
import { FIELDS } from "../config/fields.ts";
import { type Loaded, loadSettings } from "../config/load.ts";
import type { SourcesFile } from "../config/sources.ts";
import { EXIT } from "../runtime/exit.ts";
import { writeErr } from "../runtime/process.ts";
import type { CliContext } from "./context.ts";
import { NEEDS } from "./needs.ts";

/** Valid settings, and what was read with them. */
export type LoadedSettings = Extract<Loaded, { ok: true }>;

/**
 * Loads the settings. If any are invalid, prints all problems, sets the exit code and returns `null`. `sourcesFile`: the only
 * sources, instead of those of the settings. `insteadOfWrong`: the same, if nothing but the sources of the settings is wrong.
 */
export async function settingsOrExit(
  context: CliContext,
  { sourcesFile, insteadOfWrong }: { sourcesFile?: SourcesFile; insteadOfWrong?: SourcesFile } = {},
): Promise<LoadedSettings | null> {
  const load = async (only: { sourcesFile?: SourcesFile }) =>
    await loadSettings({ loadGates: async () => (await NEEDS.gateNames()).GATE_NAMES, ...only });
  const loaded = await load(sourcesFile ? { sourcesFile } : {});
  if (loaded.ok) return loaded;
  const others = insteadOfWrong ? await load({ sourcesFile: insteadOfWrong }) : loaded;
  if (others.ok) {
    const unread = loaded.problems.filter((problem) => problem.startsWith(FIELDS.sourcesPath.variable));
    for (const problem of unread) writeErr(`warning: ${problem}\n`);
    return others;
  }
  writeErr("The configuration is invalid; nothing was started:\n");
  for (const problem of loaded.problems) writeErr(`  ${problem}\n`);
  for (const warning of loaded.warnings) writeErr(`warning: ${warning}\n`);
  context.exitCode = EXIT.configuration;
  return null;
}
