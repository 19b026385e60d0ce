/** The tasks of `deno.json`. `task.ts` loads this file after the check of Deno's version. */
import { compile, permissionFlags } from "./compile.ts";
import { filesIn, runDeno, type RunOptions } from "./child.ts";
import { renderManifest } from "./manifest.ts";
import { findRedisServer, readServerVersion, SERVER_VARIABLE } from "./redis_server.ts";
import { runSuites, SUITES } from "./test_run.ts";

type Task = (args: readonly string[]) => Promise<number>;

/** Folders with TypeScript that exist. */
const SOURCES = ["src", "scripts", "testkit", "tests", "demo", "bench"];

const TASKS: Record<string, Task> = {
  // Runs in this process, so that a signal to the task reaches the demo.
  demo: async (args) => await (await import("../demo/demo.ts")).runDemo(args),
  simulate: async (args) => await (await import("../demo/simulator/simulate.ts")).runSimulation(args),
  bench: async (args) => await (await import("../bench/run.ts")).runBench(args),
  dev: async (args) => await (await import("./dev.ts")).runDev(args),
  screenshot: async () => await (await import("./screenshot.ts")).runScreenshot(),
  test: async () => await checkTypes() || await needRedis() || await testAll(),
  "test:unit": () => runSuites([SUITES.unit]),
  "test:long": async () => await needRedis() || await runSuites([SUITES.long]),
  "test:chaos": async () => await needRedis() || await runSuites([SUITES.chaos]),
  "test:e2e": async () => await needRedis() || await testEndToEnd(),
  "test:image": async () => await needRedis() || await (await import("./image.ts")).testImage(),
  "test:redis": async (args) => await (await import("./test_redis.ts")).testRedis(args),
  t: async (args) => await (await import("./focused_tests.ts")).runFocused(args),
  chaos: async (args) => await needRedis() || await (await import("../tests/chaos/harness/run.ts")).runChaos(args),
  ok: async () => await runGate(),
  compile: (args) => compile(args),
  audit: async () => await (await import("./audit.ts")).runAudit(),
  "check:layers": () => runDeno(["lint", "--rules-tags=", "--rules-include=layers/arrows,layers/rooms", "src"]),
  fmt: (args) => runDeno(["fmt", ...args]),
  generate: async (args) => await runDeno(["run", "-A", "scripts/generate.ts", ...args]) || await renderManifest(),
};

/** Runs a task by name. @returns the exit code: 2 for an unknown name. */
export async function runTask(name: string, args: readonly string[]): Promise<number> {
  const task = TASKS[name];
  if (task) return await task(args);
  console.error(`Unknown task "${name}". Tasks: ${Object.keys(TASKS).join(", ")}`);
  return 2;
}

function checkTypes(options?: RunOptions): Promise<number> {
  return runDeno(["check", "--quiet", ...SOURCES.flatMap((folder) => filesIn(folder, ".ts"))], options);
}

/** Finds Redis once, because test files that run in parallel would each install it. */
async function needRedis(): Promise<number> {
  try {
    const path = await findRedisServer();
    if (Deno.env.has(SERVER_VARIABLE)) {
      const { name, version } = readServerVersion(path);
      console.log(`${SERVER_VARIABLE}: ${name} ${version}`);
    }
    return 0;
  } catch (error) {
    console.error((error as Error).message);
    return 1;
  }
}

/** All tests that a contributor needs. `.ci/run` adds chaos, compilation, tests of the binary, and the image. */
function testAll(): Promise<number> {
  return runSuites([SUITES.unit, SUITES.quick]);
}

function testEndToEnd(): Promise<number> {
  const binary = Deno.env.get("MUTT_REMEDIATION_BINARY");
  console.log(
    binary
      ? `End to end: tests the compiled binary ${binary}`
      : `End to end: no binary named, so "deno run ${permissionFlags().join(" ")} src/main.ts" stands in for it`,
  );
  return runSuites([SUITES.e2e]);
}

/** The gate before a commit. Runs every step even after a failure, so that one run shows all problems. */
async function runGate(): Promise<number> {
  const quiet = { quiet: true };
  const steps: [string, () => Promise<number>][] = [
    ["format", () => runDeno(["fmt", "--check"], quiet)],
    ["lint, layers and docs", () => runDeno(["lint"], quiet)],
    ["types", () => checkTypes(quiet)],
    ["generated files", () => runDeno(["run", "-A", "scripts/generate.ts", "--check"], quiet)],
    ["redis", needRedis],
    ["tests", () => runSuites([SUITES.unit, SUITES.quick])],
  ];
  const failed: string[] = [];
  for (const [name, step] of steps) {
    const startedAtMs = performance.now();
    const good = await step() === 0;
    console.log(`${good ? "ok    " : "FAILED"} ${name} (${((performance.now() - startedAtMs) / 1000).toFixed(1)} s)`);
    if (!good) failed.push(name);
  }
  console.log(failed.length === 0 ? "\nok" : `\nnot ok: ${failed.join(", ")}`);
  return failed.length === 0 ? 0 : 1;
}
