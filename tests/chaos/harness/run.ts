/** `deno task chaos`: every scenario under every lease mode, judged by the oracle. */
import { parseArgs } from "node:util";
import { type Push, PUSHES } from "../../../src/message/source_policy.ts";
import { SeededRandom } from "../../../testkit/mutt/random.ts";
import { EXIT, pickByName, runInterruptible } from "../../../scripts/program.ts";
import { takeLeaks } from "../../../testkit/secrets_net.ts";
import { SCENARIOS } from "../scenarios/all.ts";
import { isClean } from "./oracle.ts";
import { formatMarkdown, formatRow, formatTable, type Row } from "./report.ts";
import type { LeaseMode, Scenario } from "./scenario.ts";

const LEASES: readonly LeaseMode[] = ["on", "off", "wrong"];
const MOST_ROUNDS = 1_000_000;

const HELP = `Does to the service and to Redis what goes wrong in earnest, round after round, and counts every message.

Usage: deno task chaos [--only NAMES] [--lease MODE] [--push COMMAND] [--scale SCALE] [--seed N] [--json FILE] [--markdown]

  --only NAMES   of the scenarios below, with commas between them (default: all)
  --lease MODE   on, off, wrong or all (default all): leader lease as shipped, none, or one that says what is not so
  --push COMMAND LPUSH (default), or RPUSH: lists that are pushed to the right, of a source of one's own; only the scenarios that can be
                 turned round so
  --scale SCALE  short (seconds), full (default), or a share of the full rounds such as 0.1
  --seed N       repeats the random choices of a run; moments and interleavings are the machine's (default: a random one)
  --json FILE    also writes the result to a file
  --markdown     also prints the table of tests/chaos/figures.md

${
  SCENARIOS.map(({ name, about, rounds }) =>
    `  ${name.padEnd(16)} ${about} (${rounds.full} rounds, short ${rounds.short})`
  )
    .join("\n")
}

The service runs as "deno run", which takes a second to start; a full run (well over an hour) wants the binary:
  deno task compile && MUTT_REMEDIATION_BINARY=dist/mutt-remediation deno task chaos

Exit codes: 0 nothing lost, doubled, misjudged, miscounted or broken; 1 not so, or a scenario failed; 2 wrong command line; 130 Ctrl-C.`;

interface Options {
  readonly scenarios: readonly Scenario[];
  readonly leases: readonly LeaseMode[];
  readonly push: Push;
  readonly scale: "short" | "full" | number;
  readonly seed: number;
  readonly json: string | undefined;
  readonly markdown: boolean;
}

/** Runs it. Resolves with the exit code when nothing of it is left; a signal ends it early. */
export async function runChaos(args: readonly string[]): Promise<number> {
  const options = parseOptions(args);
  if (typeof options === "number") return options;
  return await runInterruptible("chaos run", (signal) => runAll(options, signal));
}

async function runAll(options: Options, signal: AbortSignal): Promise<number> {
  const { seed, scale, scenarios, leases, push } = options;
  const binary = Deno.env.get("MUTT_REMEDIATION_BINARY") ?? null;
  console.log(`seed ${seed}, scale ${scale}, service ${binary ?? "from source"}`);
  const rows: Row[] = [];
  for (const scenario of scenarios.filter(({ canBeTurned }) => push === "LPUSH" || canBeTurned)) {
    for (const lease of leases.filter((mode) => leasesOf(scenario).includes(mode))) {
      const rounds = roundsOf(scenario, scale);
      rows.push(await runScenario(scenario, { lease, push, rounds, seed, signal, tell: (line) => console.log(line) }));
      signal.throwIfAborted();
      console.log(formatRow(rows.at(-1)!));
    }
  }
  console.log(`\n${formatTable(rows)}`);
  if (options.markdown) console.log(`\n${formatMarkdown(rows)}`);
  if (options.json !== undefined) {
    await Deno.writeTextFile(options.json, `${JSON.stringify({ seed, scale, binary, rows }, null, 2)}\n`);
  }
  // In tests the net itself fails the test; here nobody else looks.
  const leaks = takeLeaks();
  for (const leak of leaks) console.log(`A secret went by: ${leak}`);
  const isGood = leaks.length === 0 && rows.every(({ result }) => result !== null && isClean(result.findings));
  console.log(isGood ? "\nclean" : `\nNOT clean; again with --seed ${seed}`);
  return isGood ? EXIT.good : EXIT.bad;
}

/** How one scenario is run. */
export interface RunOptions {
  readonly lease: LeaseMode;
  /** Default: `LPUSH`. */
  readonly push?: Push;
  readonly rounds: number;
  readonly seed: number;
  readonly signal: AbortSignal;
  readonly tell: (line: string) => void;
}

/** Runs one scenario under one lease mode; its random choices depend on nothing but the seed, its name, the mode and the direction. */
export async function runScenario(
  scenario: Scenario,
  { lease, push = "LPUSH", rounds, seed, signal, tell }: RunOptions,
): Promise<Row> {
  const name = push === "LPUSH" ? scenario.name : `${scenario.name}, ${push}`, title = `${name}, lease ${lease}`;
  const startedAtMs = performance.now();
  const elapsed = () => Math.round((performance.now() - startedAtMs) / 100) / 10;
  tell(`\n${title}: ${rounds} rounds`);
  const random = new SeededRandom(seed ^ hash(title));
  const about = { scenario: name, lease, seed };
  try {
    const say = (line: string) => tell(`  ${elapsed().toFixed(0).padStart(4)} s  ${line}`);
    const result = await scenario.run({ random, rounds, lease, push, signal, tell: say });
    for (const example of result.findings.examples) say(example);
    return { ...about, seconds: elapsed(), result, problem: null };
  } catch (error) {
    signal.throwIfAborted();
    const problem = error instanceof Error ? error.stack ?? error.message : String(error);
    tell(`  failed: ${problem}`);
    return { ...about, seconds: elapsed(), result: null, problem };
  }
}

/** Lease modes of a scenario. */
export function leasesOf({ leases }: Scenario): readonly LeaseMode[] {
  return leases ?? LEASES;
}

function roundsOf({ rounds }: Scenario, scale: Options["scale"]): number {
  if (scale === "short" || scale === "full") return rounds[scale];
  return Math.min(MOST_ROUNDS, Math.max(1, Math.round(rounds.full * scale)));
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) value = Math.imul(value ^ byte, 0x01000193);
  return value >>> 0;
}

/** @returns an exit code where there is nothing to run. */
function parseOptions(args: readonly string[]): Options | number {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        help: { type: "boolean" },
        only: { type: "string" },
        lease: { type: "string", default: "all" },
        push: { type: "string", default: "LPUSH" },
        scale: { type: "string", default: "full" },
        seed: { type: "string" },
        json: { type: "string" },
        markdown: { type: "boolean", default: false },
      },
    });
    if (values.help) {
      console.log(HELP);
      return EXIT.good;
    }
    const { only, lease, push, scale, seed, json, markdown } = values;
    return {
      scenarios: pickByName("--only", only, SCENARIOS),
      leases: parseLease(lease),
      push: parsePush(push),
      scale: parseScale(scale),
      seed: parseSeed(seed),
      json,
      markdown,
    };
  } catch (error) {
    console.error(`${(error as Error).message} (see --help)`);
    return EXIT.usage;
  }
}

function parseLease(text: string): readonly LeaseMode[] {
  if (text === "all") return LEASES;
  const found = LEASES.find((mode) => mode === text);
  if (found) return [found];
  throw new RangeError(`--lease "${text}" is not one of ${LEASES.join(", ")}, all`);
}

function parsePush(text: string): Push {
  const found = PUSHES.find((push) => push === text);
  if (found) return found;
  throw new RangeError(`--push "${text}" is not one of ${PUSHES.join(", ")}`);
}

function parseScale(text: string): Options["scale"] {
  if (text === "short" || text === "full") return text;
  const share = Number(text);
  if (/^[0-9.]+$/.test(text) && share > 0) return share;
  throw new RangeError(`--scale "${text}" is neither short nor full nor a number over 0`);
}

function parseSeed(text: string | undefined): number {
  if (text === undefined) return crypto.getRandomValues(new Uint32Array(1))[0]!;
  if (/^\d{1,10}$/.test(text) && Number(text) < 2 ** 32) return Number(text);
  throw new RangeError(`--seed "${text}" is not a whole number under 2^32`);
}
