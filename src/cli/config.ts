/** `mutt-remediation config`: prints the settings and the origin of each. */
import type { Command } from "commander";
import { writeErr, writeOut } from "../runtime/process.ts";
import { formatSetting, formatSource } from "./config_view.ts";
import type { CliContext } from "./context.ts";
import { NEEDS } from "./needs.ts";

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
    .action(async ({ json }: { json?: true }) => {
      const { settingsOrExit } = await NEEDS.settings();
      const loaded = await settingsOrExit(context);
      if (!loaded) return;
      const { config } = await NEEDS.config();
      const report = config.run(loaded), { dotEnvPath, settings, sources, warnings } = report;
      if (json) return writeOut(`${JSON.stringify(report)}\n`);
      if (dotEnvPath !== "") writeOut(`.env is ${dotEnvPath}\n`);
      const width = Math.max(...settings.map(({ variable }) => variable.length));
      for (const setting of settings) writeOut(`${formatSetting(setting, width)}\n`);
      for (const source of sources) writeOut(`${formatSource(source)}\n`);
      for (const warning of warnings) writeErr(`warning: ${warning}\n`);
    });
}
