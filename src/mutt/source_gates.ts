/** Builds MUTT's parts of a source: the gates for Moogsoft and the forwarder, their live settings, and live traffic. */
import type { ChooseProxy } from "../config/proxy.ts";
import type { Gate } from "../gates/gate.ts";
import { fileMember, type SourceDefinition } from "../gates/source_definition.ts";
import type { Log } from "../observability/log.ts";
import type { Metrics } from "../observability/metrics.ts";
import { probeSpan } from "../observability/spans.ts";
import type { Tracer } from "../observability/tracing.ts";
import type { RedisClient } from "../redis/cluster.ts";
import type { Snapshot } from "../cycle/cycle_state.ts";
import type { Clock } from "../runtime/clock.ts";
import { createBreakerGate } from "./breaker_gate.ts";
import type { LiveSettings } from "./dynamic_keys.ts";
import { LiveTraffic } from "./live_traffic.ts";
import { MoogsoftGate } from "./moogsoft_gate.ts";
import { type ProbeAccess, sendProbe } from "./moogsoft_probe.ts";
import { createPaceGate, type PaceGate, type PaceSettings } from "./pace_gate.ts";

/** Dependencies of {@link createMuttGates}. */
export interface MuttGatesDeps {
  readonly live: LiveSettings;
  readonly redis: RedisClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly tracer: Tracer;
  /** Called with the error of each failed Redis call, for counting. */
  readonly onRedisError: (error: unknown) => void;
  readonly chooseProxy: ChooseProxy;
  /** Reads the probe's current key and certificate. */
  readonly moogAccess: () => ProbeAccess;
  readonly healthGauge: Metrics["moogHealth"];
  /** The source's latest snapshot. */
  readonly snapshot: () => Snapshot | null;
}

/** MUTT's gates of one source. */
export interface MuttGates {
  readonly downstream: MoogsoftGate;
  readonly pace: PaceGate;
  /** All gates, including these two. */
  readonly all: readonly Gate[];
}

/** Creates MUTT's gates of one source. Does no IO until the first `ask`. The caller must stop `downstream`. */
export function createMuttGates(setup: SourceDefinition, deps: MuttGatesDeps): MuttGates {
  const { live, redis, clock, log, tracer, onRedisError, snapshot } = deps;
  const settings = live.current();
  const downstream = new MoogsoftGate({
    ...{ redis, clock, log, onRedisError, chooseProxy: deps.chooseProxy },
    enabled: settings.moogHealthCheckEnabled,
    url: settings.moogWebhookUrl === "" ? undefined : new URL(settings.moogWebhookUrl),
    access: deps.moogAccess,
    timeoutMs: settings.moogHealthTimeoutMs,
    cacheMs: settings.moogHealthCacheMs,
    successCodes: setup.successCodes,
    healthGauge: deps.healthGauge,
    sendProbe: (request) => tracer.span(probeSpan(request.url), (span) => sendProbe({ ...request, span })),
  });
  const breaker = createBreakerGate({
    ...{ redis, log, onRedisError },
    enabled: settings.breakerEnabled,
    timeoutMs: settings.breakerTimeoutMs,
    snapshot,
  });
  const pace = createPaceGate(redis, {
    settings: () => paceSettings(setup, live),
    rateKey: settings.moogRateLimitKey,
    waitingQueues: setup.downstreamQueues,
    feedsForwarder: [settings.ingestQueue, settings.alertQueue].some((queue) => setup.downstreamQueues.includes(queue)),
    snapshot,
    onRedisError,
  });
  return { downstream, pace, all: [downstream, breaker, pace] };
}

/** Creates the live-traffic watch of a source; `null` if its consumers are not MUTT's. */
export function createLiveTraffic(
  { policy, provenByAlerts, otherAlertDlqs }: SourceDefinition,
  { live, redis, clock, intervalMs }: {
    live: LiveSettings;
    redis: RedisClient;
    clock: Clock;
    intervalMs: () => number;
  },
): LiveTraffic | null {
  if (!provenByAlerts) return null;
  const { breakerEnabled, moogRateLimitKey: rateKey, alertQueue } = live.current();
  return new LiveTraffic({
    ...{ redis, clock, intervalMs, breakerEnabled, rateKey, alertQueue },
    ...{ dlq: policy.dlq, isRefusalsDlq: policy.target === alertQueue, otherDlqs: otherAlertDlqs },
  });
}

/** Returns the current limit of a source's depth gate and the name of the setting behind it. */
export function readDepthLimit(setup: SourceDefinition, live: LiveSettings): { limit: number; decidedBy: string } {
  const { depthLimit } = setup;
  if (depthLimit.fixed !== null) return { limit: depthLimit.fixed, decidedBy: fileMember(setup, "targetMaxDepth") };
  const { targetMaxDepth } = live.current();
  if (targetMaxDepth !== null) return { limit: targetMaxDepth, decidedBy: "REMEDIATION_TARGET_MAX_DEPTH" };
  const { alerterQueueWarnThreshold } = live.muttShared();
  return alerterQueueWarnThreshold === null || !depthLimit.byWarnThreshold
    ? { limit: depthLimit.fallback, decidedBy: "default of REMEDIATION_TARGET_MAX_DEPTH" }
    : { limit: alerterQueueWarnThreshold, decidedBy: "dynamic key alerter_queue_warn_threshold" };
}

function paceSettings(setup: SourceDefinition, live: LiveSettings): PaceSettings {
  const { maxPerSecond, moogRateLimit, moogRatePeriodMs } = live.current();
  const muttShared = live.muttShared();
  return {
    maxPerSecond: setup.maxPerSecond ?? maxPerSecond,
    decidedBy: setup.maxPerSecond === null ? "REMEDIATION_MAX_PER_SECOND" : fileMember(setup, "maxPerSecond"),
    rateLimit: muttShared.moogRateLimit ?? moogRateLimit,
    ratePeriodMs: muttShared.moogRatePeriodMs ?? moogRatePeriodMs,
  };
}
