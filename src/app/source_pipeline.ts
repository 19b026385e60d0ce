/** Creates the components of one source, for the service and for commands. */
import type { ChooseProxy } from "../config/proxy.ts";
import type { SourceDefinition } from "../gates/source_definition.ts";
import { createSourceBoard, createSourceGates } from "../gates/source_gates.ts";
import type { NewEntry } from "../journal/entries.ts";
import { JobRunner } from "../jobs/runner.ts";
import { JobStore } from "../jobs/job_store.ts";
import { createPickers } from "../jobs/picker.ts";
import { revivedMessage } from "../jobs/revive.ts";
import type { DrillNotices } from "../drill/notices.ts";
import { DrillRunner } from "../drill/runner.ts";
import { SourceTurns } from "../jobs/source_turns.ts";
import { gatesOfJobs } from "../gates/board.ts";
import { holdForDrill } from "../gates/drill_hold.ts";
import type { DepthReading } from "../gates/depth.ts";
import type { PeriodicTask } from "../lifecycle/periodic_task.ts";
import { SharedResults } from "../lifecycle/shared_results.ts";
import type { LiveSettings } from "../mutt/dynamic_keys.ts";
import type { ProbeAccess } from "../mutt/moogsoft_probe.ts";
import { drillShape } from "../mutt/drill_shapes.ts";
import { createLiveTraffic, createMuttGates, readDepthLimit } from "../mutt/source_gates.ts";
import type { Log } from "../observability/log.ts";
import type { Metrics } from "../observability/metrics.ts";
import type { Tracer } from "../observability/tracing.ts";
import type { OperatedSource } from "../operations/context.ts";
import type { RedisConnections } from "../redis/connection.ts";
import type { Snapshot } from "../cycle/cycle_state.ts";
import { redisErrorCode } from "../redis/errors.ts";
import { DrillStore } from "../redis/drill_store.ts";
import { EditStore } from "../redis/edit_store.ts";
import { ListReader } from "../redis/list_reader.ts";
import { ObjectiveStore } from "../redis/objective_store.ts";
import type { Instance } from "../redis/lease_store.ts";
import { UNJOURNALLED } from "../redis/move_trial.ts";
import { ReadBudget } from "../redis/read_budget.ts";
import { SourceControl } from "../redis/source_control.ts";
import { StagingStore } from "../redis/staging_store.ts";
import { RecordStore } from "../redis/record_store.ts";
import { createSourceStore, openJobStores } from "../redis/source_store.ts";
import { HistoryReader } from "../history/reader.ts";
import { HistoryRecorder } from "../history/recorder.ts";
import { HistoryStore } from "../redis/history_store.ts";
import { Account } from "../replay/account.ts";
import { DepthWatch, measuredQueues } from "../replay/depth_watch.ts";
import { RecordTrim } from "../replay/record_trim.ts";
import { replaySettings } from "../replay/replay_settings.ts";
import { createLeadership } from "../replay/source_leadership.ts";
import { SourceReplay } from "../replay/source_replay.ts";
import type { ReplayStore } from "../replay/store.ts";
import type { Clock } from "../runtime/clock.ts";
import { createId } from "../runtime/random.ts";
import type { SloCounters } from "../slo/counters.ts";
import { createIndicators } from "../slo/create.ts";
import type { SourceIndicators } from "../slo/indicators.ts";
import type { SloCount, SloName } from "../slo/objectives.ts";
import { SharedCounts } from "../slo/shared_counts.ts";

/** Components that all sources share. */
export interface SharedParts {
  readonly live: LiveSettings;
  /** Whether the dynamic configuration has been read; always true if it is disabled. */
  readonly isConfigKnown: () => boolean;
  readonly connections: RedisConnections;
  /** Bounds the message bytes that all sources together hold; default: unbounded. */
  readonly readBudget?: ReadBudget;
  /** Wraps the store of each source; default: not wrapped. */
  readonly wrapStore?: (store: ReplayStore) => ReplayStore;
  /** Identity of this process as a lease holder. */
  readonly instance: Instance;
  readonly metrics: Metrics;
  readonly sloCounters: SloCounters;
  /** Records what this instance does; default: not recorded. */
  readonly note?: (entry: NewEntry) => void;
  /** Notifications, for the reports of drills; default, and `null`: none are configured. */
  readonly notices?: () => DrillNotices | null;
  readonly log: Log;
  readonly clock: Clock;
  readonly tracer: Tracer;
  /** Reads the current credentials and certificates of the Moogsoft probe. */
  readonly moogAccess: () => ProbeAccess;
  readonly chooseProxy: ChooseProxy;
}

/** One source, ready to start. */
export interface SourcePipeline extends OperatedSource {
  /** Whether every connection of this source accepts commands. */
  readonly isConnected: () => boolean;
  /** Its turns: automatic replay, or a job. */
  readonly turns: SourceTurns;
  /** Replaces its windows while it runs. */
  readonly useWindows: (windows: SourceDefinition["windows"]) => void;
  /** Indicators of its service level objectives; the SLO monitor samples them. */
  readonly indicators: SourceIndicators;
  /** Advances its drill. */
  readonly driller: DrillRunner;
  /** The counts of its objectives that all instances share. */
  readonly sloCounts: SharedCounts;
  /** Tasks that poll Redis in the background after the start. */
  readonly watches: readonly PeriodicTask[];
}

/** Creates a source. Nothing runs until it is started. */
export function createSourcePipeline(given: SourceDefinition, shared: SharedParts): SourcePipeline {
  let setup = given;
  const { live, connections, instance, metrics, sloCounters, clock, tracer, chooseProxy } = shared;
  const { policy } = setup, log = shared.log.child(policy.name), settings = live.current();
  const { reader: redis, committer } = connections;
  const onRedisError = (error: unknown) => metrics.redisErrors.inc({ code: redisErrorCode(error) });
  const isEnabled = () => live.current().enabled;
  const turnSettings = () => replaySettings(setup, live.current());
  // The gates read `replay` and `runner`, which are created from them below. They call this only after that.
  const snapshot = (): Snapshot | null => runner.lastSnapshot() ?? replay.lastSnapshot();

  const token = settings.leaderElection ? instance.token : "";
  const readBudget = shared.readBudget ?? new ReadBudget(Infinity);
  const { store: redisStore, link, trial, release } = createSourceStore(policy, {
    ...{ connections, readBudget, clock, onRedisError, token },
    instance: instance.name,
    onUnjournalled: onceOnly(() =>
      log.warning("journal_forbidden", `Remediation: ${UNJOURNALLED}`, { source: policy.name })
    ),
  });
  const store: ReplayStore = shared.wrapStore?.(redisStore) ?? redisStore;
  // `sloCounts` is created below, from what counts here. This is called only after that.
  const countSlo = (slo: SloName, counts: Partial<SloCount>): void => {
    sloCounters.add(policy.name, slo, counts);
    sloCounts.add(slo, counts);
  };
  const account = new Account(policy, {
    ...{ metrics, log, clock },
    countRedrive: (counts) => countSlo("redrive_success", counts),
  });
  const leadership = createLeadership(policy, {
    ...{ committer, instance, settings, isEnabled, link, account, metrics, log, clock },
    onChange: (event) => shared.note?.({ kind: "leader", source: policy.name, event }),
  });
  const mutt = createMuttGates(setup, {
    ...{ live, redis, clock, log, tracer, onRedisError, chooseProxy, snapshot },
    moogAccess: shared.moogAccess,
    healthGauge: metrics.moogHealth,
  });
  const { consumer, depth, all: gates } = createSourceGates(setup, {
    ...{ redis, clock, log, onRedisError, chooseProxy, isEnabled, link, trial, leadership },
    consumerGate: settings.consumerGate,
    isConfigKnown: shared.isConfigKnown,
    depthLimit: () => readDepthLimit(setup, live),
    windows: () => setup.windows,
    snapshot,
    returns: () => {
      const known = snapshot();
      const nextCycleInMs = runner.lastSnapshot() ? runner.nextCycleInMs() : replay.nextCycleInMs();
      return known && { record: known.record, nextCycleInMs };
    },
    job: () => snapshot()?.record.job ?? null,
  });
  const holdable = [...gates, ...mutt.all].map((gate) => holdForDrill(gate, snapshot));
  const board = createSourceBoard(setup, holdable, { clock, log, metrics });
  const traffic = createLiveTraffic(setup, { live, redis, clock, intervalMs: () => turnSettings().intervalMs });
  const turnDeps = {
    ...{ leadership, account, clock, createId, log, tracer },
    depthReading: () => depth.last(),
    reservePace: (count: number) => mutt.pace.reserve(count),
    paceFields: (count: number) => mutt.pace.fieldsAfter(count),
    liveSuccesses: (ms: number) => traffic?.liveSuccesses(ms) ?? 0,
  };
  const replay = new SourceReplay(policy, { ...turnDeps, store, board, settings: turnSettings });
  const jobs = new JobStore(committer, policy, { createId });
  const runner = new JobRunner(policy, {
    ...{ jobs, leadership, account, clock, createId, log, readBudget, settings: turnSettings },
    gates: gatesOfJobs(board),
    look: () => replay.look(),
    open: (job, { policy, trashOf }) =>
      openJobStores(policy, job, { connections, readBudget, token, instance: instance.name, trashOf }),
    note: (entry) => shared.note?.(entry),
    createPicker: createPickers(setup),
    createReplay: ({ id, verb }, { policy, stores: { drain, readArrivals }, isOverridden }) =>
      new SourceReplay(policy, {
        ...{ ...turnDeps, store: shared.wrapStore?.(drain) ?? drain, board: gatesOfJobs(board, isOverridden) },
        depthReading: () => withoutLimit(depth.last(), isOverridden("depth")),
        reservePace: (count) => isOverridden("pace") ? Promise.resolve(true) : mutt.pace.reserve(count),
        settings: () => ({ ...turnSettings(), batchSize: 0 }),
        job: {
          id,
          readArrivals,
          ...(verb === "revive" ? { prepare: (message) => revivedMessage(message, policy) } : {}),
        },
      }),
  });
  const turns = new SourceTurns({ replay, jobs: runner });
  const sloCounts = new SharedCounts({
    ...{ source: policy.name, store: new ObjectiveStore(redis, policy), isReady: link.isReady, clock, log },
    role: () => leadership.status().role,
    gates: () => board.last().statuses,
    windowMs: () => live.current().sloWindowMs,
  });
  const indicators = createIndicators(settings, {
    ...{ clock, count: countSlo },
    gates: () => board.last().statuses,
    leads: () => leadership.leads(),
    moved: () => account.totals().moved,
  });
  const lists = new ListReader(redis, policy, {
    maxMessageBytes: settings.maxMessageBytes,
    openForWalk: () => {
      const walker = connections.open(`walk:${policy.name}`, policy.dlq);
      return { redis: walker, release: () => connections.release(walker) };
    },
  });
  const depths = new DepthWatch(policy, {
    ...{ redis, store, metrics, clock, queues: measuredQueues(policy, setup.downstreamQueues) },
    onMeasured: (measurement) => indicators.measured(measurement),
  });
  const recordTrims = policy.beside === undefined ? [] : [
    new RecordTrim({
      ...{ source: policy.name, isReady: link.isReady, metrics, clock, onRedisError },
      store: new RecordStore(committer, { policy, keepMs: policy.beside.keepMs }),
    }),
  ];
  const drills = new DrillStore(committer, policy, { token });
  const driller = new DrillRunner(policy, {
    ...{ drills, lists, leadership, clock, log, onRedisError, shape: drillShape(policy.name) },
    readState: () => redisStore.readState(),
    lastSnapshot: () => replay.lastSnapshot(),
    gates: () => board.last().statuses,
    notices: {
      sent: async () => await shared.notices?.()?.sent() ?? null,
      gateIncidentSince: async (...of) => await shared.notices?.()?.gateIncidentSince(...of) ?? null,
    },
    note: (entry) => shared.note?.(entry),
  });
  const historyStore = new HistoryStore(redis, policy);
  const recorder = new HistoryRecorder({
    ...{ source: policy.name, store: historyStore, isReady: link.isReady, clock, log },
    role: () => leadership.status().role,
    gates: () => board.last().statuses,
    downstream: () => depth.last(),
    totals: () => account.totals(),
  });
  return {
    get setup() {
      return setup;
    },
    useWindows: (windows) => void (setup = { ...setup, windows }),
    ...{ store, board, replay, turns, jobs, drills, driller, leadership, lists, indicators, sloCounts },
    isConnected: link.isReady,
    control: new SourceControl(committer, policy),
    history: new HistoryReader({ store: historyStore, isReady: link.isReady, clock }),
    groupCounts: new SharedResults({ clock }),
    edits: new EditStore(committer, policy),
    staging: new StagingStore(committer, policy.dlq),
    oldest: () => depths.oldest(),
    flow: () => ({
      ...turnSettings(),
      mostPerSecond: mutt.pace.mostPerSecond(),
      movedPerSecond: account.movedPerSecond(),
    }),
    watches: [depths, recorder, driller, sloCounts, ...recordTrims, ...(traffic ? [traffic] : [])],
    whenKnown: async () => {
      const asking = [mutt.downstream, consumer].filter(({ name }) => setup.gates.includes(name));
      await Promise.all(asking.map((gate) => gate.whenKnown()));
    },
    stop: async () => {
      await Promise.all([mutt.downstream.stop(), consumer.stop(), leadership.stop()]);
      runner.close();
      release();
    },
  };
}

/** Without the limit, a commit does not check it either. */
function withoutLimit(reading: DepthReading | null, isOverridden: boolean): DepthReading | null {
  return reading && isOverridden ? { ...reading, limit: null } : reading;
}

function onceOnly(tell: () => void): () => void {
  let isTold = false;
  return () => {
    if (!isTold) tell();
    isTold = true;
  };
}
