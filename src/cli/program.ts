/** The command line and its commands. */
import { Command, CommanderError } from "commander";
import { EXIT } from "../runtime/exit.ts";
import { VERSION } from "../app/version.ts";
import { writeErr, writeOut } from "../runtime/process.ts";
import type { CliContext } from "./context.ts";
import { addCheckCommand } from "./check.ts";
import { addConfigCommand } from "./config.ts";
import { addHealthCommand } from "./health.ts";
import { addKeyCommand } from "./key.ts";
import { addOnceCommand } from "./once.ts";
import { addRunCommand } from "./run.ts";
import { addSloCommand } from "./slo.ts";
import { addVersionCommand } from "./version.ts";

/** Runs a command line. Resolves with the exit code. Rejects only for a bug. */
export async function runCli(
  argv: readonly string[],
  signals: Pick<CliContext, "signal" | "onHangup">,
): Promise<number> {
  const context: CliContext = { ...signals, exitCode: EXIT.done };
  const program = createProgram(context, argv);
  try {
    await program.parseAsync([...argv], { from: "user" });
    return context.exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? EXIT.done : EXIT.usage;
  }
}

function createProgram(context: CliContext, argv: readonly string[]): Command {
  const outputError = (text: string, write: (text: string) => void) => write(hideValues(text, argv));
  const program = new Command("mutt-remediation")
    .description("Replays dead letters of Redis lists when the system behind them accepts messages again.")
    .version(VERSION, "--version", "print the version")
    .configureOutput({ writeOut, writeErr, outputError })
    .showHelpAfterError("(see --help)")
    .exitOverride()
    .addHelpText(
      "after",
      `
Settings are environment variables or lines of a file .env in the working directory; see docs/configuration.md.

Examples:
  mutt-remediation                     run the service
  mutt-remediation once --dry-run      see what one cycle would do
  mutt-remediation health              ask the running service`,
    );
  addRunCommand(program, context);
  addOnceCommand(program, context);
  addHealthCommand(program, context);
  addSloCommand(program, context);
  addCheckCommand(program, context);
  addConfigCommand(program, context);
  addKeyCommand(program);
  addVersionCommand(program);
  // Subcommands do not inherit these.
  for (const command of program.commands.flatMap((one) => [one, ...one.commands])) {
    command.exitOverride().configureOutput({ writeOut, writeErr, outputError }).showHelpAfterError("(see --help)");
  }
  return program;
}

/** Redacts every argument in an error text that does not look like a command or an option: it may be a secret. */
function hideValues(text: string, argv: readonly string[]): string {
  const hidden = argv.filter((argument) => !/^-{0,2}[a-z]+(-[a-z]+)*$/i.test(argument));
  return hidden.reduce(
    (shown, one) => shown.replaceAll(one, () => `${/^--[a-z-]+=/.exec(one)?.[0] ?? ""}[redacted]`),
    text,
  );
}
