/** `mutt-remediation check`: checks the installation before the service starts. */
import type { Command } from "commander";
import type { CheckResult } from "../operations/check.ts";
import { writeOut } from "../runtime/process.ts";
import type { CliContext } from "./context.ts";
import { NEEDS } from "./needs.ts";

/** Adds the command. */
export function addCheckCommand(program: Command, context: CliContext): void {
  program.command("check")
    .description("Check the configuration, Redis and the lists; change nothing")
    .option("--probe", "also send one probe event to Moogsoft")
    .option("--json", "print the findings as one line of JSON")
    .addHelpText(
      "after",
      `
Checks the configuration, the version and eviction policy of Redis, the types and depths of the lists, and on a cluster their
hash slots. Tests the permissions to move messages with a key of its own, which it deletes at once. Asks for a consumer's health
page if one is set (ALERTER_HEALTH_URL). If the service runs on this machine, reports gates closed for more than an hour.

Exit codes: 0 no problems; 1 Redis, a consumer or (--probe) Moogsoft cannot be used; 78 change something first.

Examples:
  mutt-remediation check
  mutt-remediation check --probe`,
    )
    .action(async (flags: { probe?: true; json?: true }) => {
      const { quietContextOrExit } = await NEEDS.quietContext();
      const commandContext = await quietContextOrExit(context, {
        askHealth: async (settings) => {
          const { askService } = await NEEDS.askService();
          const answer = await askService(settings, { path: "/health", accept: "application/json" });
          return answer.ok ? answer.text : null;
        },
      });
      if (!commandContext) return;
      const { check } = await NEEDS.check();
      const report = await check.run(commandContext, { probe: flags.probe ?? false });
      context.exitCode = report.exitCode;
      writeOut(flags.json ? `${JSON.stringify(report)}\n` : report.findings.map(formatResult).join(""));
    });
}

function formatResult({ level, subject, text }: CheckResult): string {
  return `${level.padEnd(7)}  ${subject}: ${text}\n`;
}
