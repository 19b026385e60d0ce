/** Makes `docs/cli.md` and the man page from the command line's own commands, flags and help. */
import type { Command } from "commander";
import { createProgram, listCommands } from "../src/cli/program.ts";
import { code, renderTable } from "./markdown.ts";
import { VERSION } from "../src/app/version.ts";
import { EXIT } from "../src/runtime/exit.ts";

const MAKE = "deno run -A scripts/generate.ts";

const EXIT_TEXTS: Readonly<Record<keyof typeof EXIT, string>> = {
  done: "Done",
  failed:
    "Failed or refused: the service is unhealthy, a journal was changed, a job failed, the answer was no, or Redis cannot be used",
  usage: "Invalid command line or value; or there is no terminal to ask on and no `--yes`",
  held: "`once` only: there were messages but none moved",
  unavailable: "The service or its Redis does not answer",
  noPermission: "The API refuses the key, or its role is too low",
  configuration: "Invalid configuration, or there is no key",
  interrupted: "Interrupted by Ctrl-C; a running job goes on",
};

/** Every command that does something, with its full name. */
function listActions(): readonly { readonly name: string; readonly command: Command }[] {
  const program = createProgram({ signal: new AbortController().signal, onHangup: () => {}, exitCode: 0 }, ["help"]);
  return listCommands(program).filter((one) => one.name() !== "help" && !isGroup(one)).map((command) => ({
    ...{ command, name: fullName(command) },
  }));
}

/** Whether a command only groups others. */
function isGroup(command: Command): boolean {
  return command.commands.length > 0 && command.options.length === 0;
}

function fullName(command: Command): string {
  return command.parent?.parent ? `${fullName(command.parent)} ${command.name()}` : command.name();
}

/** The text that a command adds below its flags. */
function readRest(command: Command): string {
  let text = "";
  command.configureOutput({ writeOut: (part) => text += part });
  command.outputHelp();
  const [, rest = ""] = /-h, --help[^\n]*\n(?: {20,}[^\n]*\n)*(?:\nCommands:\n(?: [^\n]*\n)*)?([\s\S]*)/.exec(text) ??
    [];
  return rest.trim();
}

/** The arguments and flags of a command with what they mean. */
function listTerms(command: Command): (readonly [term: string, text: string])[] {
  const help = command.createHelp();
  return [
    ...help.visibleArguments(command).map((one) => [help.argumentTerm(one), help.argumentDescription(one)] as const),
    ...help.visibleOptions(command).filter(({ long }) => long !== "--help")
      .map((one) => [help.optionTerm(one), help.optionDescription(one)] as const),
  ];
}

/** Renders `docs/cli.md`. */
export function renderCliPage(): string {
  const actions = listActions().filter(({ name }) => !/^(dead|target) /.test(name));
  const codes = (Object.keys(EXIT) as (keyof typeof EXIT)[]).map((key) => [String(EXIT[key]), EXIT_TEXTS[key]]);
  return `# Command line

<!-- Made from src/cli by: ${MAKE} -->

The commands with a role are clients of the [API](api.md), and of nothing else. \`once\`, \`check\` and \`config\` work with the service's
settings and its Redis, also while the service is down.

**Where the service is.** \`--url\`, else \`REMEDIATION_URL\`, else the service on this machine. **The key.** \`--key-file\`, else
\`REMEDIATION_API_KEY\` or \`REMEDIATION_API_KEY_FILE\`, else the [local key](security.md#the-local-key), which root and the service's user
can read: under \`kubectl exec\`, and as root on a host, no flag is needed. The variables can be in a file \`.env\` in the working directory.

**The way to it.** \`--ca-cert\` or \`REMEDIATION_CA_CERT_PATH\`: a file with the authority of its certificate, trusted in addition to public
ones. \`HTTPS_PROXY\`, \`HTTP_PROXY\`, \`ALL_PROXY\` and \`NO_PROXY\` are obeyed; loopback is never proxied. \`--timeout\`: longest wait until an
answer begins (default 60 s); a stream or an upload then takes as long as it takes.

**Output.** Tables for people; colours on a terminal only, and not with \`NO_COLOR\`. \`--json\`: the answer as the
[API's description](api.md) has it, which changes only by new members; a stream is one array. \`--ndjson\`: a line for each item. If a stream breaks off, its last item is \`{"error": …}\`, and the exit code is not 0. \`--watch\` looks
every 2 s, until Ctrl-C. Control characters of messages are escaped.

**Verbs over many messages** (\`redrive\`, \`bury\`, \`revive\`, \`purge\`, \`import\`, \`jobs undo\`) show a plan and ask. \`--yes\` does not ask;
\`--plan\` only shows. Ctrl-C leaves a running job running, and says how to follow it.

**Completion.** \`source <(mutt-remediation complete bash)\`; also zsh and fish.

## Exit codes

${renderTable(["code", "meaning"], codes)}
## Commands

\`dead\` and \`target\` have the commands of \`dlq\`: they look at the dead list, and at the list that a source replays to.

${actions.map(renderCommand).join("\n")}`;
}

/** Flags that the head of the page describes. */
const COMMON = /^--(json|ndjson|watch|url|key-file|ca-cert|timeout|yes|plan|detach)\b/;

function renderCommand({ name, command }: { readonly name: string; readonly command: Command }): string {
  const isOfApi = command.options.some(({ long }) => long === "--url");
  const rows = listTerms(command).filter(([term]) => !isOfApi || !COMMON.test(term))
    .map(([term, text]) => [code(term), escapeCell(text)]);
  const table = rows.length === 0 ? "" : `${renderTable(["argument or flag", "meaning"], rows)}\n`;
  const [text = "", examples = ""] = readRest(command).split(/^Examples?:\n/m);
  const words = text.replace(" Exit codes: docs/cli.md.", "").replace(/^Shows its plan and asks.*\n/m, "").trim();
  const example = examples === "" ? "" : `\`\`\`sh\n${examples.replaceAll(/^ {2}/gm, "").trimEnd()}\n\`\`\`\n`;
  return `### ${name}\n\n${command.description()}.\n\n${table}${
    words === "" ? "" : `${escapeText(words)}\n\n`
  }${example}`;
}

function escapeCell(text: string): string {
  return escapeText(text).replaceAll("|", "\\|").replaceAll("\n", " ");
}

function escapeText(text: string): string {
  return text.replaceAll("<", "&lt;");
}

/** Renders the man page. */
export function renderManPage(): string {
  const actions = listActions();
  const codes = (Object.keys(EXIT) as (keyof typeof EXIT)[]).map((key) =>
    `.TP\n${EXIT[key]}\n${troff(EXIT_TEXTS[key].replaceAll("`", ""))}`
  );
  const commands = actions.map(({ name, command }) => {
    const terms = listTerms(command).map(([term, text]) => `.TP\n.B ${troff(term)}\n${troff(text)}`);
    const rest = readRest(command);
    return [
      `.SS ${troff(name)}`,
      troff(`${command.description()}.`),
      ...terms,
      ...(rest === "" ? [] : [".PP", ".nf", troff(rest), ".fi"]),
    ].join("\n");
  });
  return [
    `.\\" Made from src/cli by: ${MAKE}`,
    `.TH MUTT-REMEDIATION 1 "" "mutt-remediation ${VERSION}"`,
    ".SH NAME\nmutt-remediation \\- replay dead letters of Redis lists, look at them, and act on them",
    ".SH SYNOPSIS\n.B mutt-remediation\n.RI [ command ]\n.RI [ flags ]",
    ".SH COMMANDS",
    ...commands,
    ".SH EXIT STATUS",
    ...codes,
    "",
  ].join("\n");
}

/** A text that troff prints as it is. */
function troff(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replaceAll(/^([.'])/gm, "\\&$1");
}
