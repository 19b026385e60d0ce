/** One cycle of every source, then an account. */
import type { BrakeReason, BrakeState } from "../cycle/brake.ts";
import { quote } from "../config/redact.ts";
import { FLOW_GATES, GATE_NAMES } from "../gates/gate.ts";
import { explainRedisError } from "../redis/advice.ts";
import { StoreError } from "../redis/errors.ts";
import { tryMovesOnce } from "../redis/move_trial.ts";
import { NEW_RECORD } from "../cycle/cycle_state.ts";
import { stateOf } from "../cycle/plan_cycle.ts";
import { dryRun } from "../replay/dry_run.ts";
import { addOutcomes, type StoppedBy, type TurnOutcome } from "../replay/outcome.ts";
import { EXIT } from "../app/exit.ts";
import { inspectRedis } from "./inspect_redis.ts";
import { type AppOptions, type Core, createAllParts, createCore } from "../app/service.ts";
import { replaySettings, type SourceParts } from "../app/source_parts.ts";
import { Teardown } from "../lifecycle/teardown.ts";
import { withVault } from "../mutt/vault.ts";

/** How long Redis may take to answer, and a gate that opens by itself to open. */
const REDIS_WAIT_MS = 5_000, FLOW_WAIT_MS = 5_000;
/** A lease with less time left than this is waited for, in milliseconds. */
const ENDING_MS = 300;

/** What became of one source. */
export interface SourceSummary extends Omit<TurnOutcome, "began" | "nextInMs"> {
  readonly name: string;
  /** The brake: its state, most messages of a cycle (`null`: no bound), and why. */
  readonly brake: { readonly state: BrakeState; readonly allowance: number | null; readonly reason: BrakeReason };
}

/** The account of `once`; `--json` prints it as it is. */
export interface OnceSummary {
  readonly sources: readonly SourceSummary[];
  readonly durationMs: number;
  /** Only with `--dry-run`: nothing was changed, the figures say what would have been done. */
  readonly dryRun?: true;
}

/** How `once` runs. */
export interface OnceOptions extends AppOptions {
  readonly dryRun: boolean;
  /** Take the leader lease from whoever holds it. */
  readonly force: boolean;
  /** Only the source of this name; `null`: all. */
  readonly source: string | null;
}

/** What `once` came to: an account and an exit code, or why it could not begin. */
export type OnceResult =
  | { readonly ok: true; readonly summary: OnceSummary; readonly exitCode: number }
  | { readonly ok: false; readonly problems: readonly string[]; readonly exitCode: number };

/** Runs one cycle of every source, whether or not the interval has passed. Never rejects for what Redis does. */
export async function runOnce(given: OnceOptions): Promise<OnceResult> {
  const teardown = new Teardown(given);
  try {
    const options = await withVault(given, teardown);
    const { settings, dryRun } = options;
    const core = createCore({
      ...options,
      // A dry run changes nothing, the lease neither.
      settings: dryRun ? { ...settings, leaderElection: false } : settings,
      instanceName: `once on ${settings.podName}`,
    }, teardown);
    const { source: name } = options;
    const setups = core.setups.filter(({ policy }) => name === null || policy.name === name);
    if (setups.length === 0) {
      const known = core.setups.map(({ policy }) => policy.name).join(", ");
      return refuse([`There is no source ${quote(name ?? "")}; known: ${known}`], EXIT.usage);
    }
    // The others are not connected: where one cannot be, it is none of this run's business.
    return await withCore(options, { core, chosen: createAllParts(core, { setups, teardown }) });
  } finally {
    await teardown.run(given.settings.shutdownTimeoutSeconds * 1_000);
  }
}

async function withCore(
  options: OnceOptions,
  { core, chosen }: { core: Core; chosen: readonly SourceParts[] },
): Promise<OnceResult> {
  const { clock, signal, log } = options;
  const startedMs = clock.monotonicMs();
  if (!await core.connections.waitUntilReady(REDIS_WAIT_MS, signal)) {
    const failure = await core.connections.explainFailure() || "CONNECTION";
    return refuse([`Redis did not answer within ${REDIS_WAIT_MS / 1_000} s (${failure})`], EXIT.failed);
  }
  try {
    const { problems, warnings } = await inspectRedis(core.connections.reader, chosen.map(({ setup }) => setup.policy));
    for (const warning of warnings) log.warning("redis_unknown", warning);
    if (problems.length > 0) return refuse(problems, EXIT.configuration);
    const refused = options.dryRun ? [] : await tryMoves(chosen, core);
    if (refused.length > 0) return refuse(refused, EXIT.failed);
    await core.watcher.readOnce();
    const held = options.dryRun ? [] : await takeLeases(chosen, options);
    if (held.length > 0) return refuse(held, EXIT.held);
  } catch (error) {
    return refuse([`Redis cannot be used: ${explainRedisError(error)}`], EXIT.failed);
  }
  const run = options.dryRun ? dryRunSource : runSource;
  let sources: SourceSummary[];
  try {
    sources = await Promise.all(chosen.map((source) => run(source, options, core)));
  } catch (error) {
    // Anything else is a bug.
    if (!(error instanceof StoreError)) throw error;
    return refuse([`Redis refused or did not answer: ${explainRedisError(error)}`], EXIT.failed);
  }
  const summary = {
    sources,
    durationMs: Math.round(clock.monotonicMs() - startedMs),
    ...(options.dryRun ? { dryRun: true as const } : {}),
  };
  return { ok: true, summary, exitCode: exitCodeOf(sources) };
}

/** @returns what Redis would refuse, of each source */
async function tryMoves(sources: readonly SourceParts[], { connections }: Core): Promise<string[]> {
  const refusals = await Promise.all(sources.map(({ setup }) => tryMovesOnce(connections.committer, setup.policy)));
  return refusals.flatMap((refusal, at) =>
    refusal ? [`Source ${sources[at]!.setup.policy.name}: Redis lets nothing be moved: ${refusal.text}`] : []
  );
}

/** Takes the lease of each source and keeps it until the parts are stopped. @returns what another holds */
async function takeLeases(sources: readonly SourceParts[], { force, clock, signal }: OnceOptions): Promise<string[]> {
  const held: string[] = [];
  for (const { leadership, setup } of sources) {
    let reply = await leadership.take({ force });
    // Its holder would have renewed it long since.
    if (reply && !reply.isOurs && reply.leftMs <= ENDING_MS) {
      await clock.sleep(reply.leftMs, signal);
      reply = await leadership.take({ force });
    }
    if (reply === null || reply.isOurs) continue;
    const { holder, leftMs } = reply;
    held.push(
      `Source ${setup.policy.name} is led by ${holder}, whose lease ends in ${
        (leftMs / 1_000).toFixed(1)
      } s unless it is ` +
        "renewed: stop that instance, or take the lease from it with --force",
    );
  }
  return held;
}

async function runSource(
  source: SourceParts,
  { clock, signal }: OnceOptions,
  { connections }: Core,
): Promise<SourceSummary> {
  await source.settled();
  let outcome = await source.replay.runOnce({ begin: "now", signal });
  let movedAtMs = clock.monotonicMs();
  while (FLOW_GATES.has(outcome.stoppedBy) && clock.monotonicMs() - movedAtMs < FLOW_WAIT_MS && !signal.aborted) {
    await clock.sleep(outcome.nextInMs, signal);
    const next = await source.replay.runOnce({ begin: outcome.began ? "never" : "now", signal });
    if (countMoved(next) > 0) movedAtMs = clock.monotonicMs();
    outcome = addOutcomes(outcome, next);
  }
  if (source.replay.hasUnsettled() && await connections.waitUntilReady(REDIS_WAIT_MS, signal)) {
    // A commit whose reply was lost may have run: the next turn finds out, and goes on with the cycle.
    outcome = addOutcomes(outcome, await source.replay.runOnce({ begin: "never", signal }));
  }
  return summarise(source, outcome);
}

async function dryRunSource(source: SourceParts, { clock, signal }: OnceOptions, core: Core): Promise<SourceSummary> {
  const { store, board, replay, setup: { policy } } = source;
  await source.settled();
  return summarise(
    source,
    await dryRun({ policy, replay, store, board, clock, signal, settings: replaySettings(source.setup, core.live) }),
  );
}

function summarise({ setup, replay }: SourceParts, outcome: TurnOutcome): SourceSummary {
  const { depthBefore, depthAfter, replayed, dead, conflicts, stoppedBy } = outcome;
  const record = replay.lastSnapshot()?.record ?? NEW_RECORD;
  return {
    ...{ name: setup.policy.name, depthBefore, depthAfter, replayed, dead, conflicts, stoppedBy },
    brake: { state: stateOf(record), allowance: record.brake.allowance, reason: record.brake.reason },
  };
}

function refuse(problems: readonly string[], exitCode: number): OnceResult {
  return { ok: false, problems, exitCode };
}

function exitCodeOf(sources: readonly SourceSummary[]): number {
  const failed = sources.some((source) =>
    source.stoppedBy === "error" || source.stoppedBy === "redis" ||
    (source.stoppedBy === "contended" && countMoved(source) === 0)
  );
  if (failed) return EXIT.failed;
  const isHeld = (stoppedBy: StoppedBy) => (GATE_NAMES as readonly string[]).includes(stoppedBy);
  const held = sources.some(({ depthBefore, stoppedBy }) => depthBefore > 0 && isHeld(stoppedBy));
  return held && sources.every((source) => countMoved(source) === 0) ? EXIT.held : EXIT.done;
}

function countMoved({ replayed, dead }: Pick<TurnOutcome, "replayed" | "dead">): number {
  return Object.values(dead).reduce((sum, count) => sum + count, replayed);
}
