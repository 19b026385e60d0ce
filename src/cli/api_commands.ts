/** The commands of the API: one for each operation of the catalog, with flags from its input and help from its summary. */
import { Argument, type Command, Option } from "commander";
import type { Member } from "./catalog.ts";
import type { ConnectionFlags } from "./connection.ts";
import type { CliContext } from "./context.ts";
import { NEEDS } from "./needs.ts";
import { flagOf, GROUP_SUMMARIES, listWordings, placeholderOf, startedBy, type Wording } from "./wordings.ts";

/** Default time between two looks of `--watch`, in seconds. */
const WATCH_SECONDS = 2;

/** Flags of the commands of the API, beside those of the operation. */
export interface ApiFlags extends ConnectionFlags {
  readonly json?: true;
  readonly ndjson?: true;
  /** Text of the seconds between two looks. */
  readonly watch?: string;
  readonly yes?: true;
  readonly plan?: true;
  readonly detach?: true;
}

/** Adds the commands. */
export function addApiCommands(program: Command, context: CliContext): void {
  for (const wording of listWordings()) addCommand(program, wording, context);
  const jobs = program.commands.find((command) => command.name() === "jobs");
  if (jobs) addFollow(jobs, context);
}

/** Finds or creates the command that groups others: `dlq` of `dlq list`. */
function findGroup(program: Command, words: readonly string[]): Command {
  return words.reduce((parent, word) => {
    const known = parent.commands.find((command) => command.name() === word);
    return known ?? parent.command(word).description(GROUP_SUMMARIES[word] ?? word);
  }, program);
}

function addCommand(program: Command, wording: Wording, context: CliContext): void {
  const { offer, words, args, fixed, hidden, examples } = wording;
  const what = startedBy(offer);
  const command = findGroup(program, words.slice(0, -1)).command(words.at(-1)!).description(offer.summary);
  for (const name of args) command.addArgument(describeArgument(name, offer.members[name]));
  const members = Object.entries(offer.members).filter(([name]) =>
    !args.includes(name) && !hidden.includes(name) && !Object.hasOwn(fixed, name)
  );
  for (const [name, member] of members) command.addOption(describeOption(name, member));
  addOutputFlags(command);
  if (offer.method === "GET" && !(offer.stream && offer.name === "export")) {
    command.addOption(
      new Option("--watch [seconds]", "look again and again, until Ctrl-C").preset(String(WATCH_SECONDS)),
    );
  }
  if (what !== null) {
    command.option("--yes", `start the ${what} without asking`)
      .option("--plan", `show the plan only${what === "job" ? "; `jobs confirm` starts it" : ""}`)
      .option("--detach", `do not wait for the ${what}'s end`);
  }
  addConnectionFlags(command);
  command.addHelpText("after", describeRest(wording, examples));
  command.action(async (...given: unknown[]) => {
    const texts = given.slice(0, args.length) as (string | undefined)[];
    const flags = given[args.length] as ApiFlags & Readonly<Record<string, unknown>>;
    const values = Object.fromEntries(args.map((name, at) => [name, texts[at]]));
    for (const [name] of members) values[name] = flags[attributeOf(name)] as string | undefined;
    const { runApiCommand } = await NEEDS.runApi();
    await runApiCommand({ wording, values, flags }, context);
  });
}

/** `jobs follow` asks for a job again and again. */
function addFollow(jobs: Command, context: CliContext): void {
  const command = jobs.command("follow <id>").description("Show the progress of a job until it ends")
    .option("--source <source>", "name of the source; default: the one that has the job");
  addOutputFlags(command);
  addConnectionFlags(command);
  command.addHelpText("after", "\nCtrl-C ends the view, not the job.\n\nExample:\n  mutt-remediation jobs follow ID");
  command.action(async (id: string, flags: ApiFlags & { readonly source?: string }) => {
    const { followCommand } = await NEEDS.runApi();
    await followCommand({ id, source: flags.source, flags }, context);
  });
}

function addOutputFlags(command: Command): void {
  command.addOption(new Option("--json", "print the API's answer as JSON").conflicts("ndjson"));
  command.option("--ndjson", "print one JSON a line: an item of the answer each");
}

/** Adds the flags that say where the API is and how to reach it. */
export function addConnectionFlags(command: Command): void {
  command.option("--url <url>", "address of the API; default: REMEDIATION_URL, else the service on this machine")
    .option("--key-file <file>", "file with the key; default: REMEDIATION_API_KEY, else the local key")
    .option(
      "--ca-cert <file>",
      "file with the certificate authority (PEM) of the API; default: REMEDIATION_CA_CERT_PATH",
    )
    .option("--timeout <duration>", "longest wait until an answer begins; default: 60s");
}

function describeArgument(name: string, member: Member | undefined): Argument {
  const isFile = member?.in === "upload", isRequired = member?.required === true || isFile;
  const text = isFile ? "file, or - for standard input" : member?.description ?? `the ${name} of a message`;
  return new Argument(isRequired ? `<${isFile ? "file" : name}>` : `[${name}]`, text);
}

function describeOption(name: string, member: Member): Option {
  const value = `<${placeholderOf(name, member)}${member.list ? "..." : ""}>`;
  const flag = member.kind === "flag" ? flagOf(name) : `${flagOf(name)} ${value}`;
  const option = new Option(flag, describeMember(name, member));
  if (member.choices) option.choices([...member.choices]);
  return member.required && name !== "source" && name !== "list" ? option.makeOptionMandatory() : option;
}

function describeMember(name: string, { description = "", in: part }: Member): string {
  if (name === "source") return part === "path" ? "name of the source; default: the only one" : "name of a source";
  if (name === "list") return "which list of the source; default: dlq";
  if (name.endsWith("Seconds")) return "such as 90s, 15m, 2h or 1d";
  const file = name === "payload" ? "; @FILE reads a file, @- standard input" : "";
  return `${description.replace(/^./, (first) => first.toLowerCase()).replace(/\.$/, "")}${file}`;
}

/** The name that commander gives a flag. */
function attributeOf(name: string): string {
  return flagOf(name).slice(2).replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

function describeRest({ offer, words, args }: Wording, examples: readonly string[]): string {
  const what = startedBy(offer);
  const bulk = what === null
    ? ""
    : `\nShows its plan and asks. Nothing moves before the answer y. Ctrl-C while the ${what} runs does not stop it.\n`;
  const shown = examples.length > 0 ? examples : [[...words, ...args.map((name) => name.toUpperCase())].join(" ")];
  return `${bulk}\nNeeds the role ${offer.role}. Exit codes: docs/cli.md.\n\n${
    shown.length > 1 ? "Examples" : "Example"
  }:\n${shown.map((one) => `  mutt-remediation ${one}`).join("\n")}`;
}
