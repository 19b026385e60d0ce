/** Builds what one source is made of; the same for `run` and `once`. */
import type { LiveSettings } from "../mutt/dynamic_keys.ts";
import { MAX_LEASE_SECONDS } from "../config/fields.ts";
import type { ChooseProxy } from "../config/proxy.ts";
import type { Snapshot } from "../cycle/cycle_state.ts";
import type { SourcePolicy } from "../message/source_policy.ts";
import { GateBoard, type GateStatus } from "../gates/board.ts";
import { createBreakerGate } from "../mutt/breaker_gate.ts";
import { ConsumerGate } from "../gates/consumer.ts";
import { createDepthGate } from "../gates/depth.ts";
import { DownstreamGate } from "../mutt/moogsoft_gate.ts";
import { createLeaderGate } from "../gates/leader.ts";
import { createEnabledGate, createRedisGate, createReturnsGate } from "../gates/local.ts";
import { type ProbeAccess, sendProbe } from "../mutt/moogsoft_probe.ts";
import { createPaceGate } from "../mutt/pace_gate.ts";
import type { Log } from "../observability/log.ts";
import type { Metrics } from "../observability/metrics.ts";
import { probeSpan } from "../observability/spans.ts";
import type { Tracer } from "../observability/tracing.ts";
import { BudgetedStore } from "../redis/budgeted_store.ts";
import type { RedisConnections } from "../redis/connection.ts";
import { redisErrorCode } from "../redis/errors.ts";
import { stateKey } from "../redis/keys.ts";
import { type Instance, LeaseStore } from "../redis/lease_store.ts";
import { MoveTrial } from "../redis/move_trial.ts";
import { ReadBudget } from "../redis/read_budget.ts";
import { Account } from "../replay/account.ts";
import { AlertFlow } from "../mutt/live_traffic.ts";
import { Leadership } from "../replay/leadership.ts";
import type { Watch } from "../lifecycle/periodic_task.ts";
import { DepthWatch, measuredQueues, type OldestMessage } from "../replay/depth_watch.ts";
import { type ReplaySettings, SourceReplay } from "../replay/source_replay.ts";
import type { ReplayStore } from "../replay/store.ts";
import type { Clock } from "../runtime/clock.ts";
import { createId } from "../runtime/random.ts";
import { SourceIndicators } from "../slo/indicators.ts";
import { fileMember, type SourceSetup } from "./sources.ts";

/** What every source shares. */
export interface SharedParts {
  readonly live: LiveSettings;
  /** Whether the dynamic configuration has been read, where it is in use. */
  readonly isConfigKnown: () => boolean;
  readonly connections: RedisConnections;
  /** For what all of them hold of messages at once; default: as much as they like. */
  readonly readBudget?: ReadBudget;
  /** What the engine uses in place of the store of a source, which it is given; default: that very store. */
  readonly wrapStore?: (store: ReplayStore) => ReplayStore;
  /** This process, as the leader lease knows it. */
  readonly instance: Instance;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly clock: Clock;
  readonly tracer: Tracer;
  /** Reads what Moogsoft's probe is sent with, as it is now. */
  readonly moogAccess: () => ProbeAccess;
  readonly chooseProxy: ChooseProxy;
}

/** One source, ready to be driven. */
export interface SourceParts {
  readonly setup: SourceSetup;
  readonly store: ReplayStore;
  readonly board: GateBoard;
  readonly replay: SourceReplay;
  readonly leadership: Leadership;
  /** Whether every connection that this source needs can take commands. */
  readonly isConnected: () => boolean;
  /** What its service level objectives count; somebody has to take the samples. */
  readonly indicators: SourceIndicators;
  /** The oldest message of its DLQ as it was last seen; `null` where there is none. Does no IO. */
  oldest(): OldestMessage | null;
  /** What looks at Redis in the background once the source is driven. */
  readonly watches: readonly Watch[];
  /** Resolves once the gates that look in the background have looked. */
  settled(): Promise<void>;
  /** Ends what the gates do in the background, and gives the lease back: call it when nothing moves any more. */
  stop(): Promise<void>;
}

/** Builds a source. Nothing runs until it is driven. */
export function createSourceParts(setup: SourceSetup, shared: SharedParts): SourceParts {
  const { live, connections, instance, metrics, clock, tracer } = shared;
  const { policy } = setup;
  const log = shared.log.child(policy.name);
  const redis = connections.reader;
  const onRedisError = (error: unknown) => metrics.redisErrors.inc({ code: redisErrorCode(error) });
  const settings = live.current();
  const { committer } = connections;
  const token = settings.leaderElection ? instance.token : "";
  const account = new Account(policy, { metrics, log, clock });
  const mover = connections.openNeeded(`mover:${policy.name}`, policy.dlq);
  const link = {
    isReady: () => connections.isReady(mover),
    lastErrorCode: () => connections.lastErrorCode(),
    lastFailure: () => connections.lastFailure(),
  };
  const trial = new MoveTrial(policy, {
    redis: committer,
    clock,
    refusals: () => connections.refusals(),
    onRedisError,
  });
  const { readBudget = new ReadBudget(Infinity), wrapStore = (store) => store } = shared;
  const budgeted = new BudgetedStore(readBudget, { reader: redis, committer, mover }, policy, { token });
  const store = wrapStore(budgeted);
  const leadership = new Leadership({
    ...{ clock, log, source: policy.name },
    store: new LeaseStore(committer, policy.dlq, instance, {
      onTooLong: () => tellLongLease(policy, { metrics, log }),
    }),
    enabled: settings.leaderElection,
    durationMs: settings.leaseSeconds * 1_000,
    isReady: link.isReady,
    mayLead: () => live.current().enabled,
    onRedisError: (error) => account.redisError(redisErrorCode(error), error),
  });
  metrics.showLeader(policy.name, () => leadership.leads());
  metrics.showGates(policy.name, () => closedSeconds(board.last().statuses, clock));
  const probed = { redis, clock, log, onRedisError, chooseProxy: shared.chooseProxy };
  const downstream = new DownstreamGate({
    ...probed,
    enabled: settings.moogHealthCheckEnabled,
    url: toUrl(settings.moogWebhookUrl),
    access: shared.moogAccess,
    timeoutMs: settings.moogHealthTimeoutSeconds * 1_000,
    cacheMs: settings.moogHealthCacheSeconds * 1_000,
    successCodes: setup.successCodes,
    healthGauge: metrics.moogHealth,
    sendProbe: (request) => tracer.span(probeSpan(request.url), (span) => sendProbe({ ...request, span })),
  });
  const consumer = new ConsumerGate({
    ...probed,
    mode: settings.consumerGate,
    heartbeatPrefix: setup.heartbeatPrefix,
    healthUrl: toUrl(setup.healthUrl),
    healthUrlFrom: setup.healthUrlFrom,
  });
  // The gates look at the source that is made of them: by then it is there.
  const snapshot = (): Snapshot | null => replay.lastSnapshot();
  const depth = createDepthGate(redis, {
    queues: setup.downstreamQueues,
    limit: () => readDepthLimit(setup, live),
    onRedisError,
  });
  const pace = createPaceGate(redis, {
    settings: () => paceSettings(setup, live),
    rateKey: settings.moogRateLimitKey,
    waitingQueues: setup.downstreamQueues,
    feedsForwarder: [settings.ingestQueue, settings.alertQueue].some((queue) => setup.downstreamQueues.includes(queue)),
    snapshot,
    onRedisError,
  });
  const breaker = createBreakerGate({
    ...{ redis, log, onRedisError },
    enabled: settings.breakerEnabled,
    timeoutMs: settings.breakerTimeoutSeconds * 1_000,
    snapshot,
  });
  const returns = createReturnsGate(() => {
    const known = snapshot();
    return known && { record: known.record, nextCycleInMs: replay.nextCycleInMs() };
  });
  const gates = [
    createEnabledGate({ isEnabled: () => live.current().enabled, isKnown: shared.isConfigKnown }),
    createRedisGate(link, trial),
    createLeaderGate(leadership),
    ...[consumer, downstream, breaker, depth, returns, pace],
  ].filter(({ name }) => setup.gates.includes(name));
  const board = new GateBoard(gates, {
    clock,
    log,
    source: policy.name,
    onAnswer: (gate, open) => metrics.gateOpen.set({ source: policy.name, gate }, open ? 1 : 0),
  });
  const alerts = new AlertFlow({
    ...{ redis, clock, intervalMs: () => replaySettings(setup, live).intervalMs },
    ...{ breakerEnabled: settings.breakerEnabled, rateKey: settings.moogRateLimitKey, alertQueue: settings.alertQueue },
    ...{ dlq: policy.dlq, isRefusalsDlq: policy.target === settings.alertQueue, otherDlqs: setup.otherAlertDlqs },
  });
  const replay = new SourceReplay(policy, {
    ...{ store, board, leadership, clock, createId, log, tracer },
    depthReading: () => depth.last(),
    reservePace: (count) => pace.reserve(count),
    paceFields: (count) => pace.fieldsAfter(count),
    finishedWithin: (ms) => setup.provenByAlerts ? alerts.within(ms) : 0,
    settings: () => replaySettings(setup, live),
    account,
  });
  const indicators = new SourceIndicators(policy.name, {
    ...{ clock, counters: metrics.slo },
    drainMs: settings.sloDrainSeconds * 1_000,
    oldestAgeMs: settings.sloOldestAgeSeconds * 1_000,
    gates: () => board.last().statuses,
    leads: () => leadership.leads(),
    moved: () => account.movedSoFar(),
  });
  const queues = measuredQueues(policy, setup.downstreamQueues);
  const depths = new DepthWatch(policy, {
    ...{ redis, store, queues, metrics, clock },
    onMeasured: (measurement) => indicators.measured(measurement),
  });
  return {
    ...{ setup, store, board, replay, leadership, indicators, isConnected: link.isReady },
    oldest: () => depths.oldest(),
    watches: [depths, ...(setup.provenByAlerts ? [alerts] : [])],
    settled: async () => {
      const asking = [downstream, consumer].filter(({ name }) => setup.gates.includes(name));
      await Promise.all(asking.map((gate) => gate.settled()));
    },
    stop: async () => {
      await Promise.all([downstream.stop(), consumer.stop(), leadership.stop()]);
      budgeted.letGo();
      connections.release(mover);
    },
  };
}

function tellLongLease({ name, dlq }: SourcePolicy, { metrics, log }: Pick<SharedParts, "metrics" | "log">): void {
  metrics.longLeases.inc({ source: name });
  const why = `longer than the ${MAX_LEASE_SECONDS} s that REMEDIATION_LEASE_DURATION allows`;
  log.warning("lease_too_long", `Remediation: a lease in ${stateKey(dlq)} was ${why}; it was not obeyed`, {
    source: name,
  });
}

/** For how long each gate has been closed, 0 while it is open. */
function closedSeconds(statuses: readonly GateStatus[], clock: Clock): [gate: string, seconds: number][] {
  return statuses.map(({ name, open, sinceMs }) => [name, open ? 0 : Math.max(0, clock.nowMs() - sinceMs) / 1_000]);
}

/** The settings of a source's turn, as they are now. */
export function replaySettings({ maxReplays, ...setup }: SourceSetup, live: LiveSettings): ReplaySettings {
  const { intervalSeconds, canaryAfterSeconds, settleSeconds, ...settings } = live.current();
  const settleMs = settleSeconds === null ? setup.settleMs : settleSeconds * 1_000;
  return {
    ...{ ...settings, settleMs },
    intervalMs: Math.max(intervalSeconds * 1_000, settleMs),
    canaryAfterMs: canaryAfterSeconds * 1_000,
    maxPoisonRetries: maxReplays ?? settings.maxPoisonRetries,
  };
}

function readDepthLimit(setup: SourceSetup, live: LiveSettings) {
  const { depthLimit } = setup;
  if (depthLimit.fixed !== null) return { limit: depthLimit.fixed, decidedBy: fileMember(setup, "targetMaxDepth") };
  const { targetMaxDepth } = live.current();
  if (targetMaxDepth !== null) return { limit: targetMaxDepth, decidedBy: "REMEDIATION_TARGET_MAX_DEPTH" };
  const { alerterQueueWarnThreshold } = live.neighbours();
  return alerterQueueWarnThreshold === null || !depthLimit.byWarnThreshold
    ? { limit: depthLimit.fallback, decidedBy: "default of REMEDIATION_TARGET_MAX_DEPTH" }
    : { limit: alerterQueueWarnThreshold, decidedBy: "dynamic key alerter_queue_warn_threshold" };
}

function paceSettings(setup: SourceSetup, live: LiveSettings) {
  const { maxPerSecond, moogRateLimit, moogRatePeriodSeconds } = live.current();
  const neighbours = live.neighbours();
  return {
    maxPerSecond: setup.maxPerSecond ?? maxPerSecond,
    decidedBy: setup.maxPerSecond === null ? "REMEDIATION_MAX_PER_SECOND" : fileMember(setup, "maxPerSecond"),
    rateLimit: neighbours.moogRateLimit ?? moogRateLimit,
    ratePeriodSeconds: neighbours.moogRatePeriodSeconds ?? moogRatePeriodSeconds,
  };
}

function toUrl(text: string): URL | undefined {
  return text === "" ? undefined : new URL(text);
}
