/** Operation `once`: runs one cycle of every source and returns a summary. */
import { BRAKE_REASONS, BRAKE_STATES, type BrakeReason, type BrakeState } from "../cycle/brake.ts";
import { DEAD_REASONS, LIST_WORDS } from "../message/source_policy.ts";
import { quote } from "../config/redact.ts";
import { GATE_NAMES, hasTrait, isGateName } from "../gates/gate.ts";
import { explainRedisError } from "../redis/advice.ts";
import { StoreError } from "../redis/errors.ts";
import { tryMovesOnce } from "../redis/move_trial.ts";
import { NEW_CYCLE_STATE } from "../cycle/cycle_state.ts";
import { stateOf } from "../cycle/plan_cycle.ts";
import { dryRun } from "../replay/dry_run.ts";
import { addOutcomes, type StoppedBy, type TurnOutcome } from "../replay/outcome.ts";
import { replaySettings } from "../replay/replay_settings.ts";
import { EXIT } from "../runtime/exit.ts";
import { operationEntry } from "./audit.ts";
import { CLI_ACTOR, type CommandContext, type OperatedSource, type OperationCore } from "./context.ts";
import { inspectRedis } from "./inspect_redis.ts";
import type { JsonSchema, Operation } from "./operation.ts";
import { COUNT, FLAG, listOf, objectOf, oneOf, TEXT, TEXT_OR_NULL } from "./schema.ts";
import { Teardown } from "../lifecycle/teardown.ts";
import { withVault } from "../mutt/vault.ts";
import { waitForRedis } from "./wait_for_redis.ts";

/** Time limit for a flow gate to open, in milliseconds. */
const FLOW_WAIT_MS = 5_000;
/** Wait for another instance's lease to expire if it has at most this left, in milliseconds. */
const ENDING_MS = 300;

/** Result of one source. */
export interface SourceSummary extends Omit<TurnOutcome, "began" | "nextInMs"> {
  readonly name: string;
  /** The brake: its state, the maximum messages a cycle (`null`: unbounded), and the reason. */
  readonly brake: { readonly state: BrakeState; readonly allowance: number | null; readonly reason: BrakeReason };
  /** The pause that stopped it, in words. `once` obeys a pause, also with `force`. */
  readonly paused?: string;
  /** The freeze or the window that stopped it, in words. `once` obeys both, also with `force`. */
  readonly held?: string;
}

/** Summary of `once`, as `--json` prints it. */
export interface OnceSummary {
  readonly sources: readonly SourceSummary[];
  readonly durationMs: number;
  /** Set with `--dry-run`: nothing changed; the counts say what a real run would do. */
  readonly dryRun?: true;
}

/** Options of the run. */
export interface OnceInput {
  /** Judge the messages without changing anything. */
  readonly dryRun: boolean;
  /** Take the leader lease from its holder. */
  readonly force: boolean;
  /** Run only the source with this name; `null`: all. */
  readonly source: string | null;
}

type RunContext = CommandContext & OnceInput;

/** Result of the run: a summary, or the problems that prevented it; and the exit code. */
export type OnceReport =
  | { readonly ok: true; readonly summary: OnceSummary; readonly exitCode: number }
  | { readonly ok: false; readonly problems: readonly string[]; readonly exitCode: number };

const SUMMARY_SCHEMA: JsonSchema = objectOf({
  sources: listOf(objectOf({
    ...{ name: TEXT, depthBefore: COUNT, depthAfter: COUNT, replayed: COUNT },
    dead: objectOf(Object.fromEntries(DEAD_REASONS.map((reason) => [reason, COUNT])), { optional: DEAD_REASONS }),
    conflicts: COUNT,
    stoppedBy: oneOf(["empty", "batch_size", "contended", "shutdown", "error", ...GATE_NAMES] satisfies StoppedBy[]),
    brake: objectOf({
      state: oneOf(BRAKE_STATES),
      allowance: { type: ["integer", "null"] },
      reason: oneOf(BRAKE_REASONS),
    }),
    ...{ paused: TEXT, held: TEXT },
  }, { optional: ["paused", "held"] })),
  durationMs: COUNT,
  dryRun: oneOf([true]),
}, { optional: ["dryRun"] });

/** Runs one cycle at once, without waiting for the interval, through the same gates as the service. */
export const once = {
  name: "once",
  summary: "Run one cycle of every source now",
  runsIn: "command",
  role: "operator",
  input: objectOf({ dryRun: FLAG, force: FLAG, source: TEXT_OR_NULL }),
  output: {
    anyOf: [
      objectOf({ ok: oneOf([true]), summary: SUMMARY_SCHEMA, exitCode: COUNT }),
      objectOf({ ok: oneOf([false]), problems: listOf(TEXT), exitCode: COUNT }),
    ],
  },
  run: runOnce,
} satisfies Operation<CommandContext, OnceInput, OnceReport>;

async function runOnce(given: CommandContext, input: OnceInput): Promise<OnceReport> {
  const teardown = new Teardown(given);
  try {
    const options = { ...await withVault(given, teardown), ...input };
    const { settings, vault, dryRun, source: name } = options;
    const core = options.createCore({
      // A dry run changes nothing, not even the lease.
      settings: dryRun ? { ...settings, leaderElection: false } : settings,
      ...(vault ? { vault } : {}),
      instanceName: `once on ${settings.podName}`,
    }, teardown);
    const setups = core.setups.filter(({ policy }) => name === null || policy.name === name);
    if (setups.length === 0) {
      const known = core.setups.map(({ policy }) => policy.name).join(", ");
      return refuse([`Unknown source ${quote(name ?? "")}; known: ${known}`], EXIT.usage);
    }
    // Connect only the chosen sources: an unreachable server of another source must not fail this run.
    const chosen = setups.map((setup) => {
      const source = core.createSource(setup);
      teardown.add(`the gates of ${setup.policy.name}`, () => source.stop());
      return source;
    });
    const report = await withCore(options, { core, chosen });
    if (report.ok && !dryRun) await recordRun(report.summary, { core, options });
    return report;
  } finally {
    await teardown.run(given.settings.shutdownTimeoutMs);
  }
}

/** The messages have moved: a journal that cannot be written does not make the run a failure. */
async function recordRun(
  { sources }: OnceSummary,
  { core, options: { log, force, source } }: { core: OperationCore; options: RunContext },
): Promise<void> {
  const result = sources.map(({ name, replayed, stoppedBy }) => `${name}: ${replayed} replayed, ${stoppedBy}`).join(
    "; ",
  );
  const entry = operationEntry(CLI_ACTOR, { operation: "once", source, input: { force }, result });
  await core.journal.record(entry).catch((error: unknown) => {
    if (!(error instanceof StoreError)) throw error;
    log.warning("journal_unwritable", `The run is not in the journal: ${explainRedisError(error)}`, {
      code: error.code,
    });
  });
}

async function withCore(
  options: RunContext,
  { core, chosen }: { core: OperationCore; chosen: readonly OperatedSource[] },
): Promise<OnceReport> {
  const { clock, signal, log } = options;
  const startedMs = clock.monotonicMs();
  const unanswered = await waitForRedis(core.connections, signal);
  if (unanswered !== null) return refuse([unanswered], EXIT.failed);
  try {
    const { problems, warnings } = await inspectRedis(core.connections.reader, chosen.map(({ setup }) => setup.policy));
    for (const warning of warnings) log.warning("redis_unknown", warning);
    if (problems.length > 0) return refuse(problems, EXIT.configuration);
    const refused = await (options.dryRun ? findWrongTypes : tryMoves)(chosen, core);
    if (refused.length > 0) return refuse(refused, EXIT.failed);
    await core.readDynamicConfig();
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

/** A dry run moves nothing, so Redis refuses nothing. @returns a problem for each key that cannot be moved to or from */
async function findWrongTypes(
  sources: readonly OperatedSource[],
  { connections: { reader } }: OperationCore,
): Promise<string[]> {
  const problems = sources.map(async ({ setup: { policy } }) => {
    const roles = ["dlq", "target", "dead"] as const,
      types = await Promise.all(roles.map((role) => reader.type(policy[role])));
    return roles.flatMap((role, at) =>
      types[at] === "none" || types[at] === "list"
        ? []
        : [`${LIST_WORDS[role]} ${policy[role]} of source ${policy.name} is a ${types[at]} and must be a list`]
    );
  });
  return (await Promise.all(problems)).flat();
}

/** @returns a problem for each source whose messages Redis does not allow moving */
async function tryMoves(sources: readonly OperatedSource[], { connections }: OperationCore): Promise<string[]> {
  const refusals = await Promise.all(sources.map(({ setup }) => tryMovesOnce(connections.committer, setup.policy)));
  return refusals.flatMap((refusal, at) =>
    refusal ? [`Source ${sources[at]!.setup.policy.name}: Redis refuses to move messages: ${refusal.text}`] : []
  );
}

/**
 * Takes the lease of each source and keeps it until the source stops. @returns a problem for each lease that another
 * holds
 */
async function takeLeases(sources: readonly OperatedSource[], { force, clock, signal }: RunContext): Promise<string[]> {
  const held: string[] = [];
  for (const { leadership, setup } of sources) {
    let reply = await leadership.take({ force });
    // A live holder would have renewed it by now.
    if (reply && !reply.isOurs && reply.leftMs <= ENDING_MS) {
      await clock.sleep(reply.leftMs, signal);
      reply = await leadership.take({ force });
    }
    if (reply === null || reply.isOurs) continue;
    const { holder, leftMs } = reply;
    held.push(
      `Source ${setup.policy.name} is led by ${holder}; its lease ends in ${
        (leftMs / 1_000).toFixed(1)
      } s unless it is ` +
        "renewed: stop that instance, or take its lease with --force",
    );
  }
  return held;
}

async function runSource(
  source: OperatedSource,
  { clock, signal }: RunContext,
  { connections }: OperationCore,
): Promise<SourceSummary> {
  await source.whenKnown();
  let outcome = await source.replay.runOnce({ begin: "now", signal });
  let movedAtMs = clock.monotonicMs();
  while (
    hasTrait(outcome.stoppedBy, "limitsFlow") && clock.monotonicMs() - movedAtMs < FLOW_WAIT_MS && !signal.aborted
  ) {
    await clock.sleep(outcome.nextInMs, signal);
    const next = await source.replay.runOnce({ begin: outcome.began ? "never" : "now", signal });
    if (countMoved(next) > 0) movedAtMs = clock.monotonicMs();
    outcome = addOutcomes(outcome, next);
  }
  if (source.replay.hasUnsettled() && await waitForRedis(connections, signal) === null) {
    // A commit without a reply may have run. The next turn finds out and continues the cycle.
    outcome = addOutcomes(outcome, await source.replay.runOnce({ begin: "never", signal }));
  }
  return summarise(source, outcome);
}

async function dryRunSource(
  source: OperatedSource,
  { clock, signal }: RunContext,
  core: OperationCore,
): Promise<SourceSummary> {
  const { store, board, replay, setup: { policy } } = source;
  await source.whenKnown();
  return summarise(
    source,
    await dryRun({
      policy,
      replay,
      store,
      board,
      clock,
      signal,
      settings: replaySettings(source.setup, core.live.current()),
    }),
  );
}

function summarise({ setup, replay, board }: OperatedSource, outcome: TurnOutcome): SourceSummary {
  const { depthBefore, depthAfter, replayed, dead, conflicts, stoppedBy } = outcome;
  const record = replay.lastSnapshot()?.record ?? NEW_CYCLE_STATE;
  const stopped = board.last().closed.find(({ name }) => name === stoppedBy);
  return {
    ...{ name: setup.policy.name, depthBefore, depthAfter, replayed, dead, conflicts, stoppedBy },
    brake: { state: stateOf(record), allowance: record.brake.allowance, reason: record.brake.reason },
    ...(stopped?.name === "pause" ? { paused: stopped.detail } : {}),
    ...(stopped?.name === "window" ? { held: stopped.detail } : {}),
  };
}

function refuse(problems: readonly string[], exitCode: number): OnceReport {
  return { ok: false, problems, exitCode };
}

function exitCodeOf(sources: readonly SourceSummary[]): number {
  const failed = sources.some((source) =>
    source.stoppedBy === "error" || source.stoppedBy === "redis" ||
    (source.stoppedBy === "contended" && countMoved(source) === 0)
  );
  if (failed) return EXIT.failed;
  const held = sources.some((source) => source.depthBefore > 0 && isHeld(source));
  return held && sources.every((source) => countMoved(source) === 0) ? EXIT.held : EXIT.done;
}

/** Whether a gate ended the cycle of a source. */
export function isHeld({ stoppedBy }: Pick<SourceSummary, "stoppedBy">): boolean {
  return isGateName(stoppedBy);
}

function countMoved({ replayed, dead }: Pick<TurnOutcome, "replayed" | "dead">): number {
  return Object.values(dead).reduce((sum, count) => sum + count, replayed);
}
