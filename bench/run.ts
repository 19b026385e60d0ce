/** `deno task bench`: how fast, and how gentle to Redis. */
import { parseArgs } from "node:util";
import { EXIT, pickByName, runInterruptible } from "../scripts/program.ts";
import { FAMILIES } from "./families/all.ts";
import type { Family, Scale, Table } from "./harness/family.ts";
import { describeMachine } from "./harness/machine.ts";
import { formatMarkdown, formatReport } from "./harness/report.ts";

const ROUNDS: Readonly<Record<Scale, number>> = { short: 1, full: 5 };
/** Over this load average somebody else is at work. */
const QUIET_LOAD = 0.5;

const HELP = `Measures the replay beside the original's algorithm and a bare LMOVE, on a Redis of its own.

Usage: deno task bench [--only NAMES] [--scale SCALE] [--json FILE] [--markdown]

  --only NAMES   of the families below, with commas between them (default: all)
  --scale SCALE  short (seconds; its figures mean nothing) or full (default; some forty minutes, on a machine at rest)
  --json FILE    also writes every figure to a file
  --markdown     also prints the figures of bench/figures.md

${FAMILIES.map(({ name, about }) => `  ${name.padEnd(10)} ${about}`).join("\n")}

Memory, cold start and size want the binary (else "deno run" stands in for it):
  deno task compile && MUTT_REMEDIATION_BINARY=dist/mutt-remediation deno task bench

Exit codes: 0 measured, whatever the figures; 1 something failed or was lost; 2 wrong command line; 130 Ctrl-C.`;

interface Options {
  readonly families: readonly Family[];
  readonly scale: Scale;
  readonly json: string | undefined;
  readonly markdown: boolean;
}

/** Runs it. Resolves with the exit code when nothing of it is left; a signal ends it early. */
export async function runBench(args: readonly string[]): Promise<number> {
  const options = parseOptions(args);
  if (typeof options === "number") return options;
  return await runInterruptible("benchmark", (signal) => runAll(options, signal));
}

async function runAll({ families, scale, json, markdown }: Options, signal: AbortSignal): Promise<number> {
  const machine = await describeMachine();
  if (scale === "full" && machine.load > QUIET_LOAD) {
    console.log(`load average ${machine.load.toFixed(2)}: the machine is not at rest, figures will not be worth much`);
  }
  const rounds = ROUNDS[scale], tables: Table[] = [];
  for (const { name, about, run } of families) {
    console.log(`\n${name}: ${about}`);
    tables.push(...await run({ scale, rounds, signal, tell: (line) => console.log(`  ${line}`) }));
    signal.throwIfAborted();
  }
  const report = { machine, scale, rounds, tables };
  console.log(`\n${formatReport(report)}`);
  if (markdown) console.log(`\n${formatMarkdown(report)}`);
  if (json !== undefined) await Deno.writeTextFile(json, `${JSON.stringify(report, null, 2)}\n`);
  return EXIT.good;
}

/** @returns an exit code where there is nothing to run. */
function parseOptions(args: readonly string[]): Options | number {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        help: { type: "boolean" },
        only: { type: "string" },
        scale: { type: "string", default: "full" },
        json: { type: "string" },
        markdown: { type: "boolean", default: false },
      },
    });
    if (values.help) {
      console.log(HELP);
      return EXIT.good;
    }
    const { only, scale, json, markdown } = values;
    return { families: pickByName("--only", only, FAMILIES), scale: parseScale(scale), json, markdown };
  } catch (error) {
    console.error(`${(error as Error).message} (see --help)`);
    return EXIT.usage;
  }
}

function parseScale(text: string): Scale {
  if (text === "short" || text === "full") return text;
  throw new RangeError(`--scale "${text}" is neither short nor full`);
}
