/** Runs suites of tests one after the other and adds up what they say. */
import { filesIn, runDeno } from "./child.ts";

/** A folder of tests and how it is run. */
export interface Suite {
  /** Folder below `tests/`. */
  readonly name: string;
  /** Files that run side by side; most tests wait, so that more than the processors pay. */
  readonly jobs: number;
  /** What the tests are allowed. */
  readonly permissions: readonly string[];
}

/** Sums over test files. */
export interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

const EVERYTHING = ["--allow-all"];
/** No network, no programs, no writing: a unit test that does IO fails. (Libraries look at the environment when loaded.) */
const NO_IO = ["--no-prompt", "--allow-read", "--allow-env"];

const PROCESSORS = navigator.hardwareConcurrency;

/** A suite that takes longer hangs, even on a busy machine. */
const SUITE_LIMIT_MS = 30 * 60_000;

/** Every suite by name. */
export const SUITES = {
  unit: { name: "unit", jobs: PROCESSORS, permissions: NO_IO },
  property: { name: "property", jobs: PROCESSORS, permissions: EVERYTHING },
  integration: { name: "integration", jobs: 3 * PROCESSORS, permissions: EVERYTHING },
  deploy: { name: "deploy", jobs: 2 * PROCESSORS, permissions: EVERYTHING },
  source: { name: "source", jobs: 2 * PROCESSORS, permissions: EVERYTHING },
  chaos: { name: "chaos", jobs: PROCESSORS, permissions: EVERYTHING },
  e2e: { name: "e2e", jobs: 2 * PROCESSORS, permissions: EVERYTHING },
  image: { name: "image", jobs: 1, permissions: EVERYTHING },
} as const satisfies Record<string, Suite>;

/**
 * Runs the suites in order, all of them whatever happens, and ends with the sum as the last line on stdout. `env`: variables that
 * the tests see on top of this process' own. @returns an exit code.
 */
export async function runSuites(suites: readonly Suite[], env: Record<string, string> = {}): Promise<number> {
  let sum: Tally = { passed: 0, failed: 0, skipped: 0 };
  for (const suite of suites) sum = add(sum, await runSuite(suite, { files: filesOf(suite), filter: null, env }));
  return conclude(sum);
}

/** Runs those of the suites' `files` (`null`: all), and of them the tests whose name holds `filter` (`null`: all). @returns an exit code */
export async function runFiles(
  suites: readonly Suite[],
  { files, filter }: { files: readonly string[] | null; filter: string | null },
): Promise<number> {
  let sum: Tally = { passed: 0, failed: 0, skipped: 0 };
  for (const suite of suites) {
    const own = filesOf(suite).filter((path) => files === null || files.includes(path));
    if (own.length > 0) sum = add(sum, await runSuite(suite, { files: own, filter, env: {} }));
  }
  return conclude(sum);
}

function filesOf({ name }: Suite): string[] {
  return filesIn(`tests/${name}`, "_test.ts");
}

function conclude(sum: Tally): number {
  console.log(tallyLine(sum));
  return sum.failed === 0 && sum.passed > 0 ? 0 : 1;
}

async function runSuite(
  suite: Suite,
  { files, filter, env }: { files: readonly string[]; filter: string | null; env: Record<string, string> },
): Promise<Tally> {
  const startedAtMs = performance.now();
  console.log(`\n── ${suite.name} (${files.length} files)`);
  if (files.length === 0) return { passed: 0, failed: 0, skipped: 0 };
  const report = await Deno.makeTempFile({ suffix: ".xml" });
  try {
    const code = await runDeno([
      "test",
      "--no-check", // the types were checked before, all at once
      "--sanitize-ops",
      "--sanitize-resources",
      ...suite.permissions,
      ...suite.jobs > 1 ? ["--parallel"] : [],
      ...filter === null ? [] : [`--filter=${filter}`],
      `--junit-path=${report}`,
      ...files,
    ], { env: { ...env, DENO_JOBS: String(suite.jobs) }, limitMs: SUITE_LIMIT_MS });
    console.log(`${suite.name}: ${Math.round((performance.now() - startedAtMs) / 1_000)} s`);
    return judge(parseJunit(await Deno.readTextFile(report)), code);
  } finally {
    await Deno.remove(report);
  }
}

/** Sums of a JUnit report as `deno test` writes it. Text without suites (a run that ended early) counts nothing. */
export function parseJunit(xml: string): Tally {
  const suites = [...xml.matchAll(/<testsuite [^>]*>/g)].map(([tag]) => tag);
  const sum = (name: string) =>
    suites.reduce((total, tag) => total + Number(new RegExp(` ${name}="(\\d+)"`).exec(tag)?.[1] ?? 0), 0);
  const failed = sum("failures") + sum("errors"), skipped = sum("disabled");
  return { passed: sum("tests") - failed - skipped, failed, skipped };
}

/** A run that ended badly without a failed test (a file that could not be loaded, a leak at the end) is one failure. */
export function judge(tally: Tally, exitCode: number): Tally {
  return exitCode !== 0 && tally.failed === 0 ? { ...tally, failed: 1 } : tally;
}

/** `12 passed, 0 failed`, and `, 1 skipped` where there were any. */
export function formatTally({ passed, failed, skipped }: Tally): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

/** The tally as a run's last line. A suite that was ended may have left its own last line unfinished. */
export function tallyLine(tally: Tally): string {
  return `\n${formatTally(tally)}`;
}

function add(a: Tally, b: Tally): Tally {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: a.skipped + b.skipped };
}
