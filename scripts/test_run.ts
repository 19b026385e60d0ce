/** Runs test suites one after another and adds up their results. */
import { filesIn, ROOT, runDeno } from "./child.ts";

/** Folders of tests and their options. */
export interface Suite {
  /** Folders below `tests/`. */
  readonly folders: readonly string[];
  /** Number of files that run in parallel. Most tests wait, so more than the number of processors pays off. */
  readonly jobs: number;
  /** Permissions of the tests. */
  readonly permissions: readonly string[];
}

/** Totals over test files. */
export interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** The total of no tests. */
export const NO_TESTS: Tally = { passed: 0, failed: 0, skipped: 0 };

const EVERYTHING = ["--allow-all"];
/**
 * No network, no programs, no writing: a unit test that does IO fails. (Libraries read the environment when loaded.)
 */
const NO_IO = ["--no-prompt", "--allow-read", "--allow-env"];

const PROCESSORS = navigator.hardwareConcurrency;

/** Time limit of a suite, even on a busy machine: one that takes longer hangs. */
const SUITE_LIMIT_MS = 30 * 60_000;

/** Every suite by name. */
export const SUITES = {
  unit: { folders: ["unit"], jobs: PROCESSORS, permissions: NO_IO },
  /** What takes minutes: servers that die and come back, simulations, benchmarks, much memory. */
  long: { folders: ["failover", "long"], jobs: 2 * PROCESSORS, permissions: EVERYTHING },
  chaos: { folders: ["chaos"], jobs: 2 * PROCESSORS, permissions: EVERYTHING },
  e2e: { folders: ["e2e", "examples"], jobs: 2 * PROCESSORS, permissions: EVERYTHING },
  /** All that needs Redis but neither the binary nor much time: one run, so that the processors are busy to its end. */
  quick: { folders: ["source", "property", "integration", "deploy"], jobs: 3 * PROCESSORS, permissions: EVERYTHING },
  image: { folders: ["image"], jobs: 1, permissions: EVERYTHING },
} as const satisfies Record<string, Suite>;

/** Choice of what a run of suites covers. */
export interface RunChoice {
  /** Paths of files; default: all of the suites. */
  readonly files?: readonly string[] | null;
  /** Only tests with this in their name; default: all. */
  readonly filter?: string | null;
  /** Variables to add to this process's for the tests. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs suites in order, even after a failure, and prints the total as the last line on stdout. @returns an exit code. */
export async function runSuites(suites: readonly Suite[], choice: RunChoice = {}): Promise<number> {
  return conclude(await tallySuites(suites, choice));
}

/** {@link runSuites} without the last line. */
export async function tallySuites(
  suites: readonly Suite[],
  { files = null, filter = null, env = {} }: RunChoice = {},
): Promise<Tally> {
  let sum = NO_TESTS;
  for (const suite of suites) {
    const chosen = filesOf(suite).filter((path) => files === null || files.includes(path));
    if (chosen.length > 0) sum = addTallies(sum, await runSuite(suite, { files: chosen, filter, env }));
  }
  return sum;
}

/** Large files first: they tend to take long, and the last one should not. */
function filesOf({ folders }: Suite): string[] {
  const sizeOf = (path: string) => Deno.statSync(ROOT + path).size;
  return folders.flatMap((folder) => filesIn(`tests/${folder}`, "_test.ts").sort((a, b) => sizeOf(b) - sizeOf(a)));
}

/** Prints the total as the last line on stdout. @returns an exit code: 1 if a test failed, or none passed */
export function conclude(sum: Tally): number {
  console.log(tallyLine(sum));
  return sum.failed === 0 && sum.passed > 0 ? 0 : 1;
}

async function runSuite(
  suite: Suite,
  { files, filter, env }: Required<RunChoice> & { files: readonly string[] },
): Promise<Tally> {
  const startedAtMs = performance.now();
  const name = suite.folders.join(", ");
  console.log(`\n── ${name} (${files.length} files)`);
  const report = await Deno.makeTempFile({ suffix: ".xml" });
  try {
    const code = await runDeno([
      "test",
      "--no-check", // types have been checked before, in one run
      "--sanitize-ops",
      "--sanitize-resources",
      ...suite.permissions,
      ...suite.jobs > 1 ? ["--parallel"] : [],
      ...filter === null ? [] : [`--filter=${filter}`],
      `--junit-path=${report}`,
      ...files,
    ], { env: { ...env, DENO_JOBS: String(suite.jobs) }, limitMs: SUITE_LIMIT_MS });
    console.log(`${name}: ${Math.round((performance.now() - startedAtMs) / 1_000)} s`);
    return judge(parseJunit(await Deno.readTextFile(report)), code);
  } finally {
    await Deno.remove(report);
  }
}

/** Totals of a JUnit report of `deno test`. A text without suites (a run that ended early) counts nothing. */
export function parseJunit(xml: string): Tally {
  const suites = [...xml.matchAll(/<testsuite [^>]*>/g)].map(([tag]) => tag);
  const sum = (name: string) =>
    suites.reduce((total, tag) => total + Number(new RegExp(` ${name}="(\\d+)"`).exec(tag)?.[1] ?? 0), 0);
  const failed = sum("failures") + sum("errors"), skipped = sum("disabled");
  return { passed: sum("tests") - failed - skipped, failed, skipped };
}

/** Counts a failed run without a failed test (a file that could not be loaded, a leak at the end) as one failure. */
export function judge(tally: Tally, exitCode: number): Tally {
  return exitCode !== 0 && tally.failed === 0 ? { ...tally, failed: 1 } : tally;
}

/** Formats `12 passed, 0 failed`, and `, 1 skipped` if any were skipped. */
export function formatTally({ passed, failed, skipped }: Tally): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

/** The tally as a run's last line. A suite that was ended may have left its own last line unfinished. */
export function tallyLine(tally: Tally): string {
  return `\n${formatTally(tally)}`;
}

/** Adds two totals. */
export function addTallies(a: Tally, b: Tally): Tally {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: a.skipped + b.skipped };
}
