/** Runs suites of tests one after the other and adds up what they say. */
import { filesIn, runDeno } from "./child.ts";

/** A folder of tests and how it is run. */
export interface Suite {
  /** Folder below `tests/`. */
  readonly name: string;
  /** Whether files may run side by side: each has what it needs for itself, and no test measures time. */
  readonly parallel: boolean;
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

/** A suite that takes longer hangs. */
const SUITE_LIMIT_MS = 10 * 60_000;

/** Every suite by name. */
export const SUITES = {
  unit: { name: "unit", parallel: true, permissions: NO_IO },
  property: { name: "property", parallel: true, permissions: EVERYTHING },
  integration: { name: "integration", parallel: true, permissions: EVERYTHING },
  deploy: { name: "deploy", parallel: true, permissions: EVERYTHING },
  chaos: { name: "chaos", parallel: false, permissions: EVERYTHING },
  e2e: { name: "e2e", parallel: false, permissions: EVERYTHING },
  image: { name: "image", parallel: false, permissions: EVERYTHING },
} as const satisfies Record<string, Suite>;

/**
 * Runs the suites in order, all of them whatever happens, and ends with the sum as the last line on stdout. `env`: variables that
 * the tests see on top of this process' own. @returns an exit code.
 */
export async function runSuites(suites: readonly Suite[], env: Record<string, string> = {}): Promise<number> {
  let sum: Tally = { passed: 0, failed: 0, skipped: 0 };
  for (const suite of suites) sum = add(sum, await runSuite(suite, env));
  console.log(formatTally(sum));
  return sum.failed === 0 && sum.passed > 0 ? 0 : 1;
}

async function runSuite(suite: Suite, env: Record<string, string>): Promise<Tally> {
  const files = filesIn(`tests/${suite.name}`, "_test.ts");
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
      ...suite.parallel ? ["--parallel"] : [],
      `--junit-path=${report}`,
      ...files,
    ], { env, limitMs: SUITE_LIMIT_MS });
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

function add(a: Tally, b: Tally): Tally {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: a.skipped + b.skipped };
}
