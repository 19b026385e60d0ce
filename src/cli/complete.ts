/** Completions for bash, zsh and fish, of values too. */
import type { Complete } from "@bomb.sh/tab";
import tab from "@bomb.sh/tab/commander";
import type { Command } from "commander";
import { loadSettings } from "../config/load.ts";
import { findOffer } from "./catalog.ts";
import { ApiClient } from "./client.ts";
import { findConnection } from "./connection.ts";

/** How long the service may take to name values, in milliseconds. The operator waits for it at each key. */
const PATIENCE_MS = 1_000;

/** Values that the service knows, by the option or argument that takes them. */
const SERVICE_VALUES: Readonly<Record<string, (client: ApiClient) => Promise<readonly Suggestion[]>>> = {
  source: async (client) => {
    const { sources } = await client.run(findOffer("status"), {}) as {
      sources: { name: string; depth: number | null }[];
    };
    return sources.map(({ name, depth }) => [name, depth === null ? "" : `${depth} messages`]);
  },
  id: async (client) => {
    const { jobs } = await client.run(findOffer("jobs"), {}) as {
      jobs: { id: string; verb: string; status: string }[];
    };
    return jobs.map(({ id, verb, status }) => [id, `${verb}, ${status}`]);
  },
  query: async (client) => {
    const input = { source: await onlySource(client), list: "dlq", top: 20 }, found: Suggestion[] = [];
    for await (const line of client.lines(findOffer("groups"), input)) {
      const item = JSON.parse(line);
      if (item.kind === "group") found.push([`group:${item.group}`, `${item.count}: ${item.text}`]);
    }
    return found;
  },
};

type Suggestion = readonly [value: string, description: string];

/** Prints the script that a shell sources. `program` gets commands of the library: use it for nothing else. */
export function printScript(program: Command, shell: string): void {
  tab(program).setup(program.name(), program.name(), shell);
}

/** Prints what completes the words: the last one is being typed. `program` gets commands of the library: use it for nothing else. */
export async function printCompletions(program: Command, words: readonly string[]): Promise<void> {
  const root = tab(program);
  const wanted = wantedValue(words);
  if (wanted) {
    const values = await askService(wanted.member);
    const command = root.commands.get(wanted.command);
    const place = (wanted.isOption ? command?.options : command?.arguments)?.get(wanted.member);
    if (place) place.handler = (add: Complete) => values.forEach(([value, text]) => add(value, text));
  }
  root.parse([...words]);
}

interface Wanted {
  readonly member: string;
  readonly command: string;
  readonly isOption: boolean;
}

/** Which value is being typed; `null`: none that the service knows. */
function wantedValue(words: readonly string[]): Wanted | null {
  const before = words.at(-2) ?? "", path = words.filter((word) => /^[a-z]/.test(word));
  const command = path.slice(0, ["dlq", "dead", "target", "jobs", "journal"].includes(path[0] ?? "") ? 2 : 1).join(" ");
  if (before === "--source" || before === "--query") return { member: before.slice(2), command, isOption: true };
  const isId = path[0] === "jobs" && words.length === 3, isQuery = path[1] === "search" && words.length === 3;
  return isId || isQuery ? { member: isId ? "id" : "query", command, isOption: false } : null;
}

/** Asks for values. No answer in time, or none at all: no values. */
async function askService(member: string): Promise<readonly Suggestion[]> {
  const loaded = await loadSettings();
  const found = loaded.ok ? findConnection({}, loaded.settings) : null;
  if (!found?.ok) return [];
  const client = new ApiClient(found.connection, AbortSignal.timeout(PATIENCE_MS));
  try {
    return await SERVICE_VALUES[member]!(client);
  } catch {
    return [];
  } finally {
    client.close();
  }
}

async function onlySource(client: ApiClient): Promise<string> {
  const { sources } = await client.run(findOffer("status"), {}) as { sources: { name: string }[] };
  return sources[0]?.name ?? "";
}
