/** `mutt-remediation config`: the settings as they are, and where each comes from. */
import type { Command } from "commander";
import { FIELDS, SETTING_KEYS } from "../config/fields.ts";
import { type Loaded, showValue } from "../config/load.ts";
import { redactCredentials } from "../config/redact.ts";
import { vaultTargets } from "../config/vault.ts";
import { isBuiltIn } from "../config/sources_file.ts";
import { createSources } from "../app/sources.ts";
import { writeErr, writeOut } from "../runtime/process.ts";
import { type CliContext, settingsOrExit } from "./context.ts";

/** Adds the command. */
export function addConfigCommand(program: Command, context: CliContext): void {
  program.command("config")
    .description("Print every setting with its value and origin, and the sources; secrets are redacted")
    .option("--json", "print one line of JSON")
    .addHelpText(
      "after",
      `
Precedence, lowest first: default, .env, environment. Dynamic keys in Redis override them at run time and are not shown.

Exit codes: 0 done; 78 a value is invalid.

Examples:
  mutt-remediation config
  mutt-remediation config --json | jq '.settings[] | select(.origin != "default")'`,
    )
    .action(({ json }: { json?: true }) => {
      const loaded = settingsOrExit(context);
      if (!loaded) return;
      const settings = describeSettings(loaded), sources = describeSources(loaded);
      const { dotEnvPath, warnings } = loaded;
      if (json) return writeOut(`${JSON.stringify({ dotEnvPath, settings, sources, warnings })}\n`);
      if (dotEnvPath !== "") writeOut(`.env is ${dotEnvPath}\n`);
      const width = Math.max(...settings.map(({ variable }) => variable.length));
      for (const { variable, value, origin } of settings) {
        writeOut(`${variable.padEnd(width)}  ${value || "(not set)"}  [${origin}]\n`);
      }
      for (const source of sources) writeOut(formatSource(source));
      for (const warning of warnings) writeErr(`warning: ${warning}\n`);
    });
}

function describeSources({ settings, sourcesFile }: Extract<Loaded, { ok: true }>) {
  return createSources(settings, sourcesFile).map((
    { policy, gates, maxReplays, maxPerSecond, depthLimit, healthUrl },
  ) => ({
    ...policy,
    gates,
    // What is null here is left to the variables.
    ...{ maxReplays, maxPerSecond, targetMaxDepth: depthLimit.fixed, healthUrl: redactCredentials(healthUrl) },
    origin: isBuiltIn(policy.name)
      ? sourcesFile.has(policy.name) ? "built in, sources file" : "built in"
      : "sources file",
  }));
}

function formatSource({ name, dlq, target, dead, gates, origin }: ReturnType<typeof describeSources>[number]): string {
  return `source ${name}: ${dlq} -> ${target}, dead: ${dead}; gates: ${gates.join(", ")}  [${origin}]\n`;
}

interface DescribedSetting {
  readonly variable: string;
  readonly value: unknown;
  /** `default`, the layer and the variable that was read, or Vault, which this command does not ask. */
  readonly origin: string;
  readonly dynamicKey: string | null;
}

function describeSettings({ settings, origins }: Extract<Loaded, { ok: true }>): DescribedSetting[] {
  const fromVault: ReadonlySet<string> = new Set(vaultTargets(settings));
  return SETTING_KEYS.map((key) => {
    const { variable, dynamicKey } = FIELDS[key];
    const { layer, variable: used } = origins[key];
    const unset = fromVault.has(key) ? "Vault, asked at the start" : layer;
    const origin = layer === "default" ? unset : used === variable ? layer : `${layer}, ${used}`;
    return { variable, value: showValue(settings, key), origin, dynamicKey };
  });
}
