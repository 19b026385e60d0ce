/** Runs a command of the API: finds the service, sends the request, prints the answer. */
import { EXIT } from "../runtime/exit.ts";
import { SYSTEM_CLOCK } from "../runtime/clock.ts";
import { readTextFile, writeErr, writeOut } from "../runtime/process.ts";
import { isOutTerminal, openFile, readInput } from "../runtime/terminal.ts";
import type { ApiFlags } from "./api_commands.ts";
import { findOffer, type Member } from "./catalog.ts";
import { ApiClient, ApiError, type Input } from "./client.ts";
import { type ConnectionFlags, findConnection } from "./connection.ts";
import type { CliContext } from "./context.ts";
import { followJob } from "./follow.ts";
import { planAndStart } from "./bulk.ts";
import { planAndDrill } from "./drill.ts";
import { formatOf, printAnswer, printLines } from "./output.ts";
import { settingsOrExit } from "./settings.ts";
import { parseValue, ValueError } from "./values.ts";
import { flagOf, startedBy, type Wording } from "./wordings.ts";

/** Values of an operation's members as they were typed. */
export type Typed = Readonly<Record<string, string | readonly string[] | boolean | undefined>>;

/** Runs a command of the catalog. Sets the exit code. */
export async function runApiCommand(
  { wording, values, flags }: { wording: Wording; values: Typed; flags: ApiFlags },
  context: CliContext,
): Promise<void> {
  const { offer } = wording;
  await withClient(flags, context, async (client) => {
    const input = await readValues(client, wording, values);
    const started = startedBy(offer);
    if (started === "drill") return await planAndDrill({ client, offer, input, flags }, context);
    if (started === "job") return await planAndStart({ client, offer, input, flags }, context);
    if (flags.watch !== undefined) return await watch({ client, wording, input, flags }, context);
    return await look({ client, wording, input, flags });
  });
}

/** Runs `jobs follow`. */
export async function followCommand(
  { id, source, flags }: { id: string; source: string | undefined; flags: ApiFlags },
  context: CliContext,
): Promise<void> {
  await withClient(flags, context, async (client) => {
    return await followJob(client, { id, source: source ?? await findJobSource(client, id) }, { flags, context });
  });
}

/** Connects, and turns errors into texts and exit codes. `act` returns an exit code. */
export async function withClient(
  flags: ConnectionFlags,
  context: CliContext,
  act: (client: ApiClient) => Promise<number>,
): Promise<void> {
  const loaded = await settingsOrExit(context);
  if (!loaded) return;
  const found = findConnection(flags, loaded.settings);
  if (!found.ok) {
    writeErr(`error: ${found.problem}\n`);
    context.exitCode = EXIT.configuration;
    return;
  }
  const client = new ApiClient(found.connection, context.signal);
  try {
    context.exitCode = await act(client);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    writeErr(`error: ${error.message}\n`);
    context.exitCode = error.exitCode;
  } finally {
    client.close();
  }
}

interface Look {
  readonly client: ApiClient;
  readonly wording: Wording;
  readonly input: Input;
  readonly flags: ApiFlags;
}

async function look({ client, wording: { offer }, input, flags }: Look): Promise<number> {
  const format = formatOf(flags);
  if (offer.stream) return await printLines(client.lines(offer, input), { name: offer.name, format });
  return await printAnswer(await client.run(offer, input), { name: offer.name, format, client });
}

/** Looks again and again until the signal. On a terminal each look replaces the one before. */
async function watch(one: Look, { signal }: CliContext): Promise<number> {
  const seconds = Number(one.flags.watch);
  if (!(seconds >= 0.1 && seconds <= 86_400)) {
    throw new ApiError("--watch is not a number of seconds from 0.1 to 86400", { exitCode: EXIT.usage });
  }
  const isScreen = isOutTerminal() && formatOf(one.flags) === "text";
  for (;;) {
    if (isScreen) writeOut("\x1b[H\x1b[2J\x1b[3J");
    try {
      await look(one);
    } catch (error) {
      if (signal.aborted) return EXIT.done;
      // The service may come back.
      if (!(error instanceof ApiError) || error.exitCode !== EXIT.unavailable) throw error;
      writeErr(`error: ${error.message}\n`);
    }
    await SYSTEM_CLOCK.sleep(seconds * 1_000, signal);
    if (signal.aborted) return EXIT.done;
  }
}

async function readValues(client: ApiClient, { offer, fixed, args }: Wording, typed: Typed): Promise<Input> {
  const input: Record<string, unknown> = { ...fixed }, problems: string[] = [];
  for (const [name, member] of Object.entries(offer.members)) {
    const value = typed[name];
    if (value === undefined) continue;
    try {
      input[name] = await readValue(name, value, member);
    } catch (error) {
      if (!(error instanceof ValueError)) throw error;
      const shown = args.includes(name) ? name : flagOf(name);
      problems.push(`${shown} ${JSON.stringify(value)} is not ${error.message}`);
    }
  }
  if (problems.length > 0) throw new ApiError(problems.join("\n       "), { exitCode: EXIT.usage });
  const { source, list } = offer.members;
  if (list?.in === "path") input.list ??= "dlq";
  if (source?.required) {
    input.source ??= typeof input.id === "string" && offer.path.includes("/jobs/")
      ? await findJobSource(client, input.id)
      : await findOnlySource(client);
  }
  return input;
}

async function readValue(name: string, value: string | readonly string[] | boolean, member: Member): Promise<unknown> {
  if (typeof value === "boolean") return value;
  if (typeof value !== "string") return value.map((one) => parseValue(name, one, member));
  if (member.in === "upload") return value === "-" ? readInput() : await open(value);
  if (name === "payload" && value.startsWith("@")) {
    return value === "@-" ? await new Response(readInput()).text() : readText(value.slice(1));
  }
  return parseValue(name, value, member);
}

/** @throws ValueError */
async function open(path: string): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
  try {
    return await openFile(path);
  } catch (error) {
    throw new ValueError(`a file that can be read (${error instanceof Error ? error.name : error})`);
  }
}

/** @throws ValueError */
function readText(path: string): string {
  try {
    return readTextFile(path);
  } catch (error) {
    throw new ValueError(`@ and a file that can be read (${error instanceof Error ? error.name : error})`);
  }
}

/** The only source of the service. @throws {ApiError} if there are more */
async function findOnlySource(client: ApiClient): Promise<string> {
  const { sources } = await client.run(findOffer("status"), {}) as { sources: readonly { name: string }[] };
  if (sources.length === 1) return sources[0]!.name;
  const names = sources.map(({ name }) => name).join(", ");
  throw new ApiError(`--source is missing: one of ${names}`, { exitCode: EXIT.usage });
}

/** The source that has a job. @throws {ApiError} if none has */
async function findJobSource(client: ApiClient, id: string): Promise<string> {
  const { jobs } = await client.run(findOffer("jobs"), {}) as { jobs: readonly { id: string; source: string }[] };
  const found = jobs.find((job) => job.id === id);
  if (found) return found.source;
  throw new ApiError(`There is no job ${JSON.stringify(id)}: mutt-remediation jobs list shows all`, {
    exitCode: EXIT.failed,
  });
}
