/** `mutt-remediation config`: the settings as they are, and where each comes from. */
import type { Command } from "commander";
import { config, type DescribedSource } from "../operations/config.ts";
import { writeErr, writeOut } from "../runtime/process.ts";
import { type CliContext, settingsOrExit } from "./context.ts";

/** Adds the command. */
export function addConfigCommand(program: Command, context: CliContext): void {
  program.command("config")
    .description("Print every setting, its value and where it comes from, and the sources; secrets are not shown")
    .option("--json", "as one line of JSON")
    .addHelpText(
      "after",
      `
Precedence: default, .env, environment. Dynamic keys in Redis win over all of them at run time and are not shown here.
Exit 78 when a value is wrong.

Examples:
  mutt-remediation config
  mutt-remediation config --json | jq '.settings[] | select(.origin != "default")'`,
    )
    .action(({ json }: { json?: true }) => {
      const loaded = settingsOrExit(context);
      if (!loaded) return;
      const report = config.run(loaded), { dotEnvPath, settings, sources, warnings } = report;
      if (json) return writeOut(`${JSON.stringify(report)}\n`);
      if (dotEnvPath !== "") writeOut(`.env is ${dotEnvPath}\n`);
      const width = Math.max(...settings.map(({ variable }) => variable.length));
      for (const { variable, value, origin } of settings) {
        writeOut(`${variable.padEnd(width)}  ${value || "(not set)"}  [${origin}]\n`);
      }
      for (const source of sources) writeOut(formatSource(source));
      for (const warning of warnings) writeErr(`warning: ${warning}\n`);
    });
}

function formatSource({ name, dlq, target, dead, gates, origin }: DescribedSource): string {
  return `source ${name}: ${dlq} -> ${target}, dead: ${dead}; gates: ${gates.join(", ")}  [${origin}]\n`;
}
