/** `deno task simulate`: the same incident for MUTT's own remediation service and for this one, side by side. */
import { parseArgs } from "node:util";
import { setTimeout as sleep } from "node:timers/promises";
import { EXIT, runInterruptible } from "../../scripts/program.ts";
import { type Contender, createOriginal, createOurs, defaultSources, INTERVAL_SECONDS, NOBODY } from "./contenders.ts";
import { type Incident, INCIDENTS } from "./incidents.ts";
import { isExact } from "./ledger.ts";
import { openPipeline, type Pipeline, type Result } from "./pipeline.ts";
import { type Column, formatMarkdown, formatProgress, formatTable } from "./report.ts";
import { DEFAULT_FACTOR } from "../../testkit/mutt/sim_clock.ts";
import { generateTraffic } from "../../testkit/mutt/traffic.ts";

const PROGRESS_EVERY_MS = 5_000;
/** What the runbook of MUTT suggests for a large backlog is to raise the batch. */
const LARGE_BATCH = 1_000;

const HELP = `Plays an incident of MUTT's pipeline, a simulated minute a second, for the original and for this service.

Usage: deno task simulate [INCIDENT] [--seed N] [--sources LIST] [--contenders LIST] [--log FILE] [--markdown]

  INCIDENT           one of the names below; default: all, one after the other (some eleven minutes)
  --seed N           other events (default 1)
  --sources LIST     what this service drains (default ${defaultSources()})
  --contenders LIST  of nobody, original, original-${LARGE_BATCH}, ours (default original,ours); they run side by side
  --log FILE         appends what this service logged, one JSON object a line
  --markdown         also prints the rows for demo/simulator/figures.md

${
  INCIDENTS.map(({ name, title, endsAtMinute }) => `  ${name.padEnd(17)}  ${title} (up to ${endsAtMinute} s)`).join(
    "\n",
  )
}

Exit codes: 0 every event is accounted for; 1 not so, or the simulation failed; 2 wrong command line; 130 Ctrl-C.`;

interface Options {
  readonly incidents: readonly Incident[];
  readonly contenders: readonly Contender[];
  readonly seed: number;
  readonly markdown: boolean;
}

/** Runs it. Resolves with the exit code when nothing of it is left; a signal ends it early. */
export async function runSimulation(args: readonly string[]): Promise<number> {
  const options = parseOptions(args);
  if (typeof options === "number") return options;
  return await runInterruptible("simulation", (signal) => playAll(options, signal));
}

async function playAll(options: Options, signal: AbortSignal): Promise<number> {
  let exact = true;
  for (const incident of options.incidents) {
    const columns = await playIncident(incident, { ...options, signal });
    console.log(formatTable(incident, columns));
    if (options.markdown) console.log(`\n${formatMarkdown(incident, columns)}`);
    exact &&= columns.every(({ result }) => isExact(result.account));
  }
  return exact ? EXIT.good : EXIT.bad;
}

/** How an incident is played. */
export interface PlayOptions {
  readonly contenders: readonly Contender[];
  readonly seed: number;
  readonly signal: AbortSignal;
  /** Default {@link DEFAULT_FACTOR}. */
  readonly factor?: number;
  /** Simulated seconds between two cycles; default {@link INTERVAL_SECONDS}. */
  readonly intervalSeconds?: number;
  /** Where progress goes; default: standard output. */
  readonly tell?: (line: string) => void;
}

/** Plays an incident for all contenders at once, each with a pipeline of its own. Nothing is left afterwards. */
export async function playIncident(
  incident: Incident,
  {
    contenders,
    seed,
    signal,
    factor = DEFAULT_FACTOR,
    intervalSeconds = INTERVAL_SECONDS,
    tell = (line) => console.log(line),
  }: PlayOptions,
): Promise<Column[]> {
  const traffic = generateTraffic(incident.streams, seed);
  tell(`\n${incident.title} (${incident.name}, seed ${seed}; a minute takes ${60 / factor} s)`);
  await using pipelines = new AsyncDisposableStack();
  // One that fails ends all of them.
  const ending = new AbortController();
  const anySignal = AbortSignal.any([signal, ending.signal]);
  const opened: { title: string; pipeline: Pipeline }[] = [];
  for (const [i, contender] of contenders.entries()) {
    const told = i === 0 ? { onChange: (minute: number, says: string) => tell(formatRemark(minute, says)) } : {};
    const options = { incident, contender, traffic, factor, intervalSeconds, signal: anySignal, ...told };
    opened.push({ title: contender.title, pipeline: pipelines.use(await openPipeline(options)) });
  }
  const playing = opened.map(async ({ title, pipeline }) => {
    try {
      const result = await pipeline.play();
      tell(formatRemark(pipeline.clock.elapsedMs() / 60_000, `${title}: ${describeEnd(result)}`));
      return { title, result };
    } catch (error) {
      ending.abort(error);
      throw error;
    }
  });
  const watching = watch(opened, { signal: anySignal, tell });
  try {
    return await Promise.all(playing);
  } finally {
    ending.abort();
    await Promise.allSettled([...playing, watching]);
  }
}

function describeEnd({ healedAfterMinutes }: Result): string {
  return healedAfterMinutes === null ? "the time is up" : "healed";
}

async function watch(
  opened: readonly { title: string; pipeline: Pipeline }[],
  { signal, tell }: { signal: AbortSignal; tell: (line: string) => void },
): Promise<void> {
  const [first] = opened;
  for (;;) {
    await sleep(PROGRESS_EVERY_MS, undefined, { signal });
    const depths = await Promise.all(
      opened.map(async ({ title, pipeline }) => [title, await pipeline.measure()] as const),
    );
    if (first) tell(formatProgress(first.pipeline.clock.elapsedMs() / 60_000, depths));
  }
}

function formatRemark(minute: number, text: string): string {
  return `  ${String(Math.floor(minute)).padStart(3)} min  -- ${text}`;
}

/** @returns an exit code where there is nothing to run. */
function parseOptions(args: readonly string[]): Options | number {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        help: { type: "boolean" },
        seed: { type: "string", default: "1" },
        sources: { type: "string", default: defaultSources() },
        contenders: { type: "string", default: "original,ours" },
        log: { type: "string" },
        markdown: { type: "boolean", default: false },
      },
    });
    if (values.help) {
      console.log(HELP);
      return EXIT.good;
    }
    if (!/^\d{1,9}$/.test(values.seed)) throw new RangeError(`--seed "${values.seed}" is not a whole number`);
    const everyone = [
      NOBODY,
      createOriginal(10),
      createOriginal(LARGE_BATCH),
      createOurs(values.sources, { logFile: values.log }),
    ];
    return {
      incidents: positionals.length === 0 ? INCIDENTS : positionals.map((name) => findNamed(INCIDENTS, name)),
      contenders: values.contenders.split(",").map((name) => findNamed(everyone, name)),
      seed: Number(values.seed),
      markdown: values.markdown,
    };
  } catch (error) {
    console.error(`${(error as Error).message} (see --help)`);
    return EXIT.usage;
  }
}

function findNamed<T extends { readonly name: string }>(all: readonly T[], name: string): T {
  const found = all.find((one) => one.name === name);
  if (found) return found;
  throw new RangeError(`"${name}" is not one of ${all.map((one) => one.name).join(", ")}`);
}

if (import.meta.main) Deno.exit(await runSimulation(Deno.args));
