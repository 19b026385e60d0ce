/** `mutt-remediation version`. */
import type { Command } from "commander";
import { COMMIT, VERSION } from "../app/version.ts";
import { writeOut } from "../runtime/process.ts";

/** Adds the command. */
export function addVersionCommand(program: Command): void {
  program.command("version")
    .description("Print the version and the commit it was built from")
    .option("--json", "print one line of JSON")
    .addHelpText("after", "\nExample:\n  mutt-remediation version --json")
    .action(({ json }: { json?: true }) => {
      writeOut(
        json
          ? `${JSON.stringify({ version: VERSION, commit: COMMIT })}\n`
          : `mutt-remediation ${VERSION} (${COMMIT})\n`,
      );
    });
}
