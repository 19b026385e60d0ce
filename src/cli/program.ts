/** The command line and its commands. */
import { Command, CommanderError } from "commander";
import { EXIT } from "../runtime/exit.ts";
import { VERSION } from "../app/version.ts";
import { writeErr, writeOut } from "../runtime/process.ts";
import type { CliContext } from "./context.ts";
import { addApiCommands } from "./api_commands.ts";
import { addCheckCommand } from "./check.ts";
import { addConfigCommand } from "./config.ts";
import { addCompleteCommand, addConsoleCommand, addTopCommand } from "./extra_commands.ts";
import { addDiscoverCommand } from "./discover.ts";
import { addHealthCommand } from "./health.ts";
import { addKeyCommand } from "./key.ts";
import { addMetricsCommand } from "./metrics.ts";
import { addOnceCommand } from "./once.ts";
import { addRunCommand } from "./run.ts";
import { addSloCommand } from "./slo.ts";
import { addVersionCommand } from "./version.ts";
import { addWatchCommand } from "./watch.ts";

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

/** Creates the command line. The many commands of the API are left out if `argv` names another command, or none: that starts sooner. */
export function createProgram(context: CliContext, argv: readonly string[]): Command {
  const program = createOwnCommands(context);
  const isOwn = argv.length === 0 || program.commands.some((command) => command.name() === argv[0]);
  if (!isOwn) {
    addRemoteCommands(program, context);
    addCompleteCommand(program, { argv, createPlain: () => addRemoteCommands(createOwnCommands(context), context) });
  }
  configure(program, argv);
  return program;
}

/** Creates the command line with the commands that need no API. */
function createOwnCommands(context: CliContext): Command {
  const program = new Command("mutt-remediation")
    .description("Replays dead letters of Redis lists when the system behind them accepts messages again.")
    .version(VERSION, "--version", "print the version")
    .addHelpText(
      "after",
      `
Settings are environment variables or lines of a file .env in the working directory; see docs/configuration.md.

Examples:
  mutt-remediation discover            find dead-letter queues in Redis
  mutt-remediation                     run the service
  mutt-remediation once --dry-run      see what one cycle would do
  mutt-remediation status              ask the running service what it does and why
  mutt-remediation dlq groups          see what is in the dead-letter queue

Exit codes: docs/cli.md.`,
    );
  addRunCommand(program, context);
  addOnceCommand(program, context);
  addWatchCommand(program, context);
  addDiscoverCommand(program, context);
  addHealthCommand(program, context);
  addSloCommand(program, context);
  addMetricsCommand(program, context);
  addCheckCommand(program, context);
  addConfigCommand(program, context);
  addKeyCommand(program);
  addVersionCommand(program);
  return program;
}

function addRemoteCommands(program: Command, context: CliContext): Command {
  addApiCommands(program, context);
  addConsoleCommand(program, context);
  addTopCommand(program, context);
  return program;
}

/** Output and exits of every command: subcommands do not inherit them. */
function configure(program: Command, argv: readonly string[]): void {
  const outputError = (text: string, write: (text: string) => void) => write(hideValues(text, argv));
  for (const command of [program, ...listCommands(program)]) {
    command.exitOverride().configureOutput({ writeOut, writeErr, outputError }).showHelpAfterError("(see --help)");
  }
}

/** All commands below a command. */
export function listCommands(command: Command): readonly Command[] {
  return command.commands.flatMap((one) => [one, ...listCommands(one)]);
}

/**
 * Redacts every argument in an error text that does not look like a command or an option: it may be a secret. An empty one is none,
 * and would be found between all letters.
 */
function hideValues(text: string, argv: readonly string[]): string {
  const hidden = argv.filter((argument) => argument.trim() !== "" && !/^-{0,2}[a-z]+(-[a-z]+)*$/i.test(argument));
  return hidden.reduce(
    (shown, one) => shown.replaceAll(one, () => `${/^--[a-z-]+=/.exec(one)?.[0] ?? ""}[redacted]`),
    text,
  );
}
