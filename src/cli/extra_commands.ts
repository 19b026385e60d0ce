/** Commands around the API that no operation stands for: `top` and `complete`. */
import type { Command } from "commander";
import { addConnectionFlags, type ApiFlags } from "./api_commands.ts";
import type { CliContext } from "./context.ts";
import { NEEDS } from "./needs.ts";

/** Adds `top`. */
export function addTopCommand(program: Command, context: CliContext): void {
  const command = program.command("top").description("Watch sources, gates, rates and jobs, until Ctrl-C or q");
  addConnectionFlags(command);
  command.addHelpText("after", "\nNeeds the role viewer, and a terminal.\n\nExample:\n  mutt-remediation top")
    .action(async (flags: ApiFlags) => {
      const { withClient } = await NEEDS.runApi(), { runTop } = await NEEDS.top();
      await withClient(flags, context, (client) => runTop(client, context));
    });
}

/** Shells that {@link addCompleteCommand} knows. */
const SHELLS = ["bash", "zsh", "fish"];

/** Adds `complete`. `createPlain` creates a command line without it. */
export function addCompleteCommand(
  program: Command,
  { argv, createPlain }: { argv: readonly string[]; createPlain: () => Command },
): void {
  const command = program.command("complete").description("Print the completion script of a shell")
    .argument("[shell]", SHELLS.join(", "))
    .allowExcessArguments()
    .addHelpText(
      "after",
      `
Completes commands, flags, and values that the service knows: sources, groups, jobs. bash needs the package bash-completion.
The script calls: mutt-remediation complete -- WORDS

Examples:
  source <(mutt-remediation complete bash)
  mutt-remediation complete fish > ~/.config/fish/completions/mutt-remediation.fish`,
    )
    .action(async (shell: string | undefined, _flags: unknown, { args }: Command) => {
      const isScript = argv[1] !== "--";
      if (isScript && !SHELLS.includes(shell ?? "")) {
        command.error(`error: the shell is not one of ${SHELLS.join(", ")}`);
      }
      const { printCompletions, printScript } = await NEEDS.complete();
      if (isScript) printScript(createPlain(), shell!);
      else await printCompletions(createPlain(), args);
    });
}
