/** `mutt-remediation config`: prints the settings and the origin of each. */
import type { Command } from "commander";
import { EXIT } from "../runtime/exit.ts";
import { writeErr, writeOut } from "../runtime/process.ts";
import { formatSetting, formatSource } from "./config_view.ts";
import type { CliContext } from "./context.ts";
import { NEEDS } from "./needs.ts";

/** Adds the command. */
export function addConfigCommand(program: Command, context: CliContext): void {
  program.command("config")
    .description("Print every setting with its value and origin, and the sources; secrets are redacted")
    .argument("[names...]", "beginnings of variables; default: all, and the sources")
    .option("--json", "print one line of JSON")
    .addHelpText(
      "after",
      `
Precedence, lowest first: default, .env, environment. Dynamic keys in Redis override them at run time and are not shown.

Exit codes: 0 done; 78 a value is invalid.

Examples:
  mutt-remediation config
  mutt-remediation config REDIS_ MOOG_WEBHOOK_URL
  mutt-remediation config --json | jq '.settings[] | select(.origin != "default")'`,
    )
    .action(async (names: readonly string[], { json }: { json?: true }) => {
      const { settingsOrExit } = await NEEDS.settings();
      const loaded = await settingsOrExit(context);
      if (!loaded) return;
      const { config } = await NEEDS.config();
      const whole = config.run(loaded), isChosen = names.length > 0;
      const report = isChosen
        ? {
          ...{ ...whole, sources: [] },
          settings: whole.settings.filter(({ variable }) => names.some((name) => variable.startsWith(name))),
        }
        : whole;
      const { dotEnvPath, settings, sources, warnings } = report;
      if (isChosen && settings.length === 0) {
        writeErr(`error: no setting begins with ${names.map(showName).join(", ")}\n`);
        context.exitCode = EXIT.usage;
        return;
      }
      if (json) return writeOut(`${JSON.stringify(report)}\n`);
      if (dotEnvPath !== "" && !isChosen) writeOut(`.env is ${dotEnvPath}\n`);
      const width = Math.max(...settings.map(({ variable }) => variable.length));
      for (const setting of settings) writeOut(`${formatSetting(setting, width)}\n`);
      for (const source of sources) writeOut(`${formatSource(source)}\n`);
      for (const warning of warnings) writeErr(`warning: ${warning}\n`);
    });
}

/** What cannot be the name of a setting may be a secret in the wrong place. */
function showName(name: string): string {
  return /^[A-Z][A-Z0-9_]{0,63}$/.test(name) ? name : "[not shown: no name of a setting]";
}
