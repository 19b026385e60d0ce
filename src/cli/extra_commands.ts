/** Commands around the API that no operation stands for: `console`, `top` and `complete`. */
import type { Command } from "commander";
import { addConnectionFlags, type ApiFlags } from "./api_commands.ts";
import { EXIT } from "../runtime/exit.ts";
import { writeOut } from "../runtime/process.ts";
import type { CliContext } from "./context.ts";
import { NEEDS } from "./needs.ts";

/** Adds `console`. */
export function addConsoleCommand(program: Command, context: CliContext): void {
  const command = program.command("console").description("Print a link that opens the console in a browser, logged in");
  addConnectionFlags(command);
  command.option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `
The link works once, for 5 minutes, with the name and the role of the key. Without TLS it works only where the address is a
loopback one: on the same host, or through \`kubectl port-forward\`.

Example:
  mutt-remediation console`,
    )
    .action(async (flags: ApiFlags) => {
      const { withClient } = await NEEDS.runApi();
      await withClient(flags, context, async (client) => {
        const link = await client.createLoginLink();
        writeOut(
          flags.json ? `${JSON.stringify(link)}\n` : `${link.url}\nWorks once, for ${link.seconds / 60} minutes.\n`,
        );
        return EXIT.done;
      });
    });
}

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
