/** Starts the sources, each after its Redis server has passed the checks. */
import type { Teardown } from "../lifecycle/teardown.ts";
import type { Log } from "../observability/log.ts";
import { inspectRedis } from "../operations/inspect_redis.ts";
import { explainRedisError } from "../redis/advice.ts";
import { redisErrorCode } from "../redis/errors.ts";
import { EXIT } from "../runtime/exit.ts";
import type { AppOptions, Core } from "./core.ts";
import type { FileReloader } from "./file_reloader.ts";
import type { RunningSource, RunningSources } from "./running_sources.ts";
import { VERSION } from "./version.ts";

/** Pause before Redis is checked again after a refusal, in milliseconds. */
const PREFLIGHT_RETRY_MS = 1_000;

/** Reloads a file; see `FileReloader`. */
export type Reloader = Pick<FileReloader<never>, "ask" | "start" | "stop">;

/**
 * Waits for Redis without a time limit, checks it once for each source, then starts that source. A server that is down
 * delays only its own sources. Resolves with 0 when all sources run or on the signal, and with 78 if a check fails.
 */
export async function startWhenRedisIsReady(
  { log, clock, signal }: Pick<AppOptions, "log" | "clock" | "signal">,
  { core, sources, reloaders, teardown, onSafe }: {
    core: Core;
    sources: RunningSources;
    /** Started with the first source. */
    reloaders: readonly Reloader[];
    teardown: Teardown;
    /** Called once, when Redis is known to be the right one. */
    onSafe: () => void;
  },
): Promise<number> {
  const told = new Set<string>();
  const waiting = () => sources.list().filter(({ loop }) => !loop.isStarted());
  let isFirst = true;
  while (waiting().length > 0 && !signal.aborted) {
    const isComplete = await core.connections.waitUntilReady(PREFLIGHT_RETRY_MS, signal);
    const { problems, passed } = await inspectSources(waiting(), { core, log, told });
    // Log the reason: the lines that follow in the journal only report the stop.
    for (const problem of problems) {
      log.error("redis_unsafe", `Remediation does not start (exit ${EXIT.configuration}): ${problem}`);
    }
    if (problems.length > 0) return EXIT.configuration;
    if (passed.length > 0 && isFirst && !signal.aborted) await core.watcher.readOnce();
    if (signal.aborted) break;
    if (passed.length > 0) {
      // Added after the ports, so stopped before them: health answers until the last chunk is finished.
      if (isFirst) {
        journalLife(core, teardown);
        onSafe();
        teardown.add("the replay loops", () => sources.stop());
      }
      sources.drive(passed);
      for (const reloader of isFirst ? reloaders : []) {
        teardown.add("the reload of a file", () => reloader.stop());
        reloader.start();
      }
      isFirst = false;
    }
    // Evaluate the gates from the start, so that metrics and log show why nothing moves.
    await Promise.all(waiting().map(({ parts }) => parts.board.ask()));
    if (isComplete && waiting().length > 0) await clock.sleep(PREFLIGHT_RETRY_MS, signal);
  }
  return EXIT.done;
}

/** Starts the journal and the list of replicas. Called once Redis is known to be the right one: nothing is written to it before. */
function journalLife({ journal, replicas, note }: Core, teardown: Teardown): void {
  journal.start();
  replicas.start();
  note({ kind: "service", event: "started", version: VERSION });
  teardown.add("the last entry of the journal", () => {
    note({ kind: "service", event: "stopped", version: VERSION });
    return Promise.resolve();
  });
}

/** Checks the servers of the connected sources. On a cluster each source's server is checked separately. */
async function inspectSources(
  sources: readonly RunningSource[],
  { core, log, told }: { core: Core; log: Log; told: Set<string> },
): Promise<{ problems: readonly string[]; passed: readonly RunningSource[] }> {
  const { reader } = core.connections;
  const connected = sources.filter(({ parts }) => parts.isConnected());
  const groups = reader.isCluster || connected.length === 0 ? connected.map((source) => [source]) : [connected];
  const problems = new Set<string>();
  const passed = await Promise.all(groups.map(async (group) => {
    try {
      const found = await inspectRedis(reader, group.map(({ parts }) => parts.setup.policy));
      for (const problem of found.problems) problems.add(problem);
      for (const warning of found.warnings) {
        if (!told.has(warning)) log.warning("redis_unknown", warning);
        told.add(warning);
      }
      return group;
    } catch (error) {
      tellRefusal(error, { core, log });
      return [];
    }
  }));
  return { problems: [...problems], passed: passed.flat() };
}

/** Counts and logs a failed check. Lost connections log themselves. */
function tellRefusal(error: unknown, { core, log }: { core: Core; log: Log }): void {
  const code = redisErrorCode(error);
  core.metrics.redisErrors.inc({ code });
  if (code !== "CONNECTION") {
    const message = `Cannot inspect Redis yet (${code}: ${explainRedisError(error)}); retrying`;
    log.warning("redis_refuses", message, { code });
  }
}
