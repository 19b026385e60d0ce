/** `mutt-remediation health`: queries the service on this machine, for container health checks and people. */
import type { Command } from "commander";
import type { Status } from "../operations/status.ts";
import { EXIT } from "../runtime/exit.ts";
import { writeErr, writeOut } from "../runtime/process.ts";
import type { CliContext } from "./context.ts";
import { NEEDS } from "./needs.ts";

/** Adds the command. */
export function addHealthCommand(program: Command, context: CliContext): void {
  program.command("health")
    .description("Ask the service on this machine whether it is healthy")
    .option("--json", "print the full answer: every gate with its reason, since when, and when it is asked next")
    .addHelpText(
      "after",
      `
Prints OK or what is wrong, then what each source does and why. Asks /health on the loopback address and HEALTH_PORT_REMEDIATION. Exit codes: 0 healthy; 1 unhealthy, or no answer.

Examples:
  mutt-remediation health
  mutt-remediation health --json | jq '.sources[].gates[] | select(.open | not)'`,
    )
    .action(async ({ json }: { json?: true }) => {
      const { settingsOrExit } = await NEEDS.settings();
      const loaded = await settingsOrExit(context);
      if (!loaded) return;
      const { askService } = await NEEDS.askService();
      const answer = await askService(loaded.settings, { path: "/health", accept: "application/json" });
      context.exitCode = answer.ok && answer.status === 200 ? EXIT.done : EXIT.failed;
      if (answer.ok) writeOut(json ? `${answer.text.trimEnd()}\n` : formatHealth(answer.text));
      else writeErr(`${answer.why}\n`);
    });
}

/** Formats the health document for people: `OK` or the errors, and a line for each source. */
function formatHealth(text: string): string {
  let status: Partial<Pick<Status, "status" | "errors" | "sources">>;
  try {
    status = JSON.parse(text);
  } catch {
    // Another program answers there.
    return `${text.trimEnd()}\n`;
  }
  const head = status.status === "healthy" ? "OK" : status.errors?.join(", ") ?? "unhealthy";
  const sources = (status.sources ?? []).map(({ name, explanation }) => `${name}: ${explanation}`);
  return [head, ...sources].map((line) => `${line}\n`).join("");
}
