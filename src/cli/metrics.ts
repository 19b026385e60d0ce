/** `mutt-remediation metrics`: prints samples of the metrics of the service on this machine. */
import type { Command } from "commander";
import { EXIT } from "../runtime/exit.ts";
import { writeErr, writeOut } from "../runtime/process.ts";
import type { CliContext } from "./context.ts";
import { NEEDS } from "./needs.ts";

/** What every name of ours begins with. */
const PREFIX = "mutt_remediation_";

/** Adds the command. */
export function addMetricsCommand(program: Command, context: CliContext): void {
  program.command("metrics")
    .description("Print metrics of the service on this machine")
    .argument("[names...]", "beginnings of names, with or without mutt_remediation_; default: all")
    .option("--nonzero", "leave out samples that are 0")
    .addHelpText(
      "after",
      `
Asks /metrics on the loopback address and METRICS_PORT_REMEDIATION. Exit codes: 0 done; 69 no answer.

Examples:
  mutt-remediation metrics dlq_depth moog_health
  mutt-remediation metrics redis_ --nonzero`,
    )
    .action(async (names: readonly string[], { nonzero = false }: { nonzero?: boolean }) => {
      const { settingsOrExit } = await NEEDS.settings();
      const loaded = await settingsOrExit(context);
      if (!loaded) return;
      const { askService } = await NEEDS.askService();
      const answer = await askService(loaded.settings, { port: "metrics", path: "/metrics", accept: "text/plain" });
      if (answer.ok && answer.status === 200) return writeOut(chooseSamples(answer.text, { names, nonzero }));
      writeErr(`${answer.ok ? `The service answered ${answer.status} without its metrics` : answer.why}\n`);
      context.exitCode = EXIT.unavailable;
    });
}

function chooseSamples(text: string, { names, nonzero }: { names: readonly string[]; nonzero: boolean }): string {
  const starts = names.flatMap((name) => [name, PREFIX + name]);
  return text.split("\n").filter((line) =>
    line !== "" && !line.startsWith("#") && (starts.length === 0 || starts.some((start) => line.startsWith(start))) &&
    !(nonzero && line.endsWith(" 0"))
  ).map((line) => `${line}\n`).join("");
}
